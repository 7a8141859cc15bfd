"""Collects images, targets and expressions in whatever order a source has them, and gives them back image by image.

Annotation files list all images, then all annotations, in any order; a data set wants both together. What is collected lies in a
temporary SQLite database that spills to disk, so that its size does not matter.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import PurePath, PureWindowsPath
from types import TracebackType
from typing import Any

from models.data.readers.source import DatasetSource, shown
from models.data.sample import Expression, Sample, Target

MOST_PIXELS = 500_000_000
"""Of one image; more is a mistake in the file."""

_SCHEMA = """
PRAGMA cache_size = -32768;
CREATE TABLE images (id PRIMARY KEY, place INTEGER, file, height, width, split);
CREATE TABLE targets (scope, id, image, body, PRIMARY KEY (scope, id));
CREATE TABLE expressions (image, body);
BEGIN;
"""

ImageId = int | str


class Gathering:
    """Use it in a ``with`` block; at its end everything is gone.

    Args:
        source: is told of what does not fit together.
        ids_per_image: whether ids of targets count anew in every image.
    """

    def __init__(self, source: DatasetSource, *, ids_per_image: bool = False) -> None:
        self._source = source
        self._ids_per_image = ids_per_image
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._count = 0

    def __enter__(self) -> Gathering:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.close()

    def __len__(self) -> int:
        """Number of images."""
        return self._count

    def add_image(self, image_id: Any, file_name: Any, size_hw: tuple[Any, Any], split: str | None = None) -> None:
        """Take in an image; one that cannot be used is reported."""
        if mistake := _mistake_in_image(image_id, file_name, size_hw):
            self._source.lost("bad-image", mistake, "left out with all that is marked in it", image=shown(image_id))
            return
        row = (image_id, self._count, file_name, *map(int, size_hw), split)
        if self._database.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?)", row).rowcount:
            self._count += 1
        else:
            self._source.lost("duplicate-id", f"{file_name!r} has the id of an image before", "the first one is kept", image=image_id)

    def size_of(self, image_id: Any) -> tuple[int, int] | None:
        """Height and width of an image in pixels; ``None`` when there is no such image."""
        if not is_id(image_id):
            return None
        found: tuple[int, int] | None = self._database.execute("SELECT height, width FROM images WHERE id = ?", (image_id,)).fetchone()
        return found

    def add_target(self, image_id: ImageId, target: Target) -> None:
        """Take in a target of an image that is there."""
        scope = image_id if self._ids_per_image else 0
        body = json.dumps(target.to_json(), separators=(",", ":"))
        row = (scope, target.id, image_id, body)
        if not self._database.execute("INSERT OR IGNORE INTO targets VALUES (?, ?, ?, ?)", row).rowcount:
            what = "the id was used by an annotation before"
            self._source.lost("duplicate-id", what, "the first one is kept", image=image_id, annotation=target.id)

    def add_expression(self, image_id: Any, expression: Expression) -> None:
        """Take in an expression; its targets may come later."""
        if self.size_of(image_id) is None:
            what = f"{expression.text!r} is about an image that is not there"
            self._source.lost("unknown-image", what, image=shown(image_id), expression=expression.id)
            return
        body = json.dumps(expression.to_json(), separators=(",", ":"))
        self._database.execute("INSERT INTO expressions VALUES (?, ?)", (image_id, body))

    def samples(self) -> Iterator[Sample]:
        """Everything, image by image in the order in which they came."""
        run = self._database.execute
        run("CREATE INDEX targets_of ON targets (image)")
        run("CREATE INDEX expressions_of ON expressions (image)")
        for image_id, file_name, height, width, split in run("SELECT id, file, height, width, split FROM images ORDER BY place"):
            targets = run("SELECT body FROM targets WHERE image = ? ORDER BY rowid", (image_id,))
            found = tuple(Target.from_json(json.loads(body)) for (body,) in targets)
            expressions = tuple(self._expressions_of(image_id, {target.id for target in found}))
            yield Sample(file_name, (height, width), split, found, expressions, {"image_id": image_id})

    def _expressions_of(self, image_id: ImageId, target_ids: set[int]) -> Iterator[Expression]:
        for (body,) in self._database.execute("SELECT body FROM expressions WHERE image = ? ORDER BY rowid", (image_id,)):
            expression = Expression.from_json(json.loads(body))
            missing = [target for target in expression.target_ids if target not in target_ids]
            if missing:
                what = f"{expression.text!r} refers to annotation {missing[0]}, which is not among those of its image"
                self._source.lost("unknown-annotation", what, image=image_id, expression=expression.id)
            else:
                yield expression


def is_number(value: Any) -> bool:
    """Whether a value can be the id of a target."""
    return type(value) is int and abs(value) < 2**63


def is_id(value: Any) -> bool:
    """Whether a value can be the id of an image."""
    return is_number(value) or _is_text(value)


def _is_text(value: Any) -> bool:
    """Whether a value is a text that can be written; half a character cannot, and a file's name cannot hold control characters."""
    return isinstance(value, str) and not any(character < " " or "\ud800" <= character <= "\udfff" for character in value)


def _mistake_in_image(image_id: Any, file_name: Any, size_hw: tuple[Any, Any]) -> str | None:
    if not is_id(image_id):
        return f"an image has the id {shown(image_id)}, expected a whole number or a text"
    if not is_plain_path(file_name):
        return f"the image's file is named {shown(file_name)}, expected a path inside the folder of the images"
    if not all(type(side) is int and side > 0 for side in size_hw) or size_hw[0] * size_hw[1] > MOST_PIXELS:
        found = " and ".join(map(shown, size_hw))
        return f"the image's height and width are {found}, expected whole numbers above 0, at most {MOST_PIXELS} pixels"
    return None


def is_plain_path(name: Any) -> bool:
    """Whether a name leads to a file inside a folder, and nowhere else."""
    if not _is_text(name) or not name or "://" in name:
        return False
    return not PurePath(name).is_absolute() and not PureWindowsPath(name).drive and ".." not in PureWindowsPath(name).parts
