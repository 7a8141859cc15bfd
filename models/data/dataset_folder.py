"""A data set on disk: ``manifest.json``, one line per image in ``samples.jsonl``, and perhaps the images.

Whatever a set came from, training and evaluation read this one form; :mod:`models.data.readers` and ``wordmask import`` write it. Both
directions hold one sample in memory at a time.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from models.data.sample import Category, Expression, Sample, Target
from models.masks import CocoRle

__all__ = [
    "Category",
    "CocoRle",
    "DatasetError",
    "DatasetFolder",
    "DatasetWriter",
    "Expression",
    "Manifest",
    "Sample",
    "Target",
]

MANIFEST = "manifest.json"
SAMPLES = "samples.jsonl"
IMAGES = "images"
"""Folder inside the data set for images that are kept with it."""

FORMAT = "wordmask-dataset"
VERSION = 1
"""Raised whenever older readers would misunderstand a set."""


class DatasetError(ValueError):
    """A folder that is no data set, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a data set says of itself.

    Args:
        source: format and place that it was made from.
        categories: in the order of the source.
        counts: number of ``samples``, ``targets``, ``expressions``.
        splits: number of expressions per split, of samples for those without expressions; ``""`` for none.
    """

    source: str
    categories: tuple[Category, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "categories": [category.to_json() for category in self.categories],
            "counts": self.counts,
            "splits": self.splits,
        }


class DatasetFolder:
    """Reads a data set. Iterating streams its samples, any number of times.

    Args:
        path: folder that a :class:`DatasetWriter` wrote.

    Raises:
        DatasetError: there is no data set, or it is of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.manifest = _read_manifest(self.path)

    def __len__(self) -> int:
        return self.manifest.counts["samples"]

    def __iter__(self) -> Iterator[Sample]:
        """All samples in their order.

        Raises:
            DatasetError: a line is damaged.
        """
        with (self.path / SAMPLES).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield Sample.from_json(json.loads(line))
                except (KeyError, TypeError, ValueError) as error:
                    raise DatasetError(f"{self.path / SAMPLES}, line {number}, is no sample ({error!r}); import the set again") from error

    def image_path(self, sample: Sample) -> Path:
        """Where the image file of a sample is.

        Raises:
            DatasetError: a relative path leads out of the folder.
        """
        if ".." in PurePosixPath(sample.image).parts:
            raise DatasetError(f"{sample.image!r} leads out of the data set {self.path}; give an absolute path or one inside the folder")
        return self.path / sample.image


class DatasetWriter:
    """Writes a data set, sample after sample. It appears under its name only when :meth:`commit` was called.

    Use it in a ``with`` block; what was not committed at its end is removed.

    Args:
        path: folder to make.
        source: what the set is made from, for its manifest.
        replace: a data set that is there already gives way to the new one.

    Raises:
        FileExistsError: something else lies at ``path``, or a data set that may not be replaced.
    """

    def __init__(self, path: Path | str, source: str, *, replace: bool = False) -> None:
        self.path = Path(path)
        self._check_is_free(replace)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        self.work_path = self._scratch / "new"
        """Where files lie until the set is complete; images may be put into its folder ``images``."""
        self.work_path.mkdir()
        self._source = source
        self._counts = dict.fromkeys(("samples", "targets", "expressions"), 0)
        self._splits: Counter[str] = Counter()
        self._lines = (self.work_path / SAMPLES).open("w", encoding="utf-8")

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lines.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def add(self, sample: Sample) -> None:
        """Append one sample."""
        self._lines.write(json.dumps(sample.to_json(), separators=(",", ":")) + "\n")
        self._counts["samples"] += 1
        self._counts["targets"] += len(sample.targets)
        self._counts["expressions"] += len(sample.expressions)
        self._splits.update([sample.split_of(expression) or "" for expression in sample.expressions] or [sample.split or ""])

    def commit(self, categories: Sequence[Category] = ()) -> Manifest:
        """Complete the set and give it its name.

        Args:
            categories: in the order of the source.
        """
        manifest = Manifest(self._source, tuple(categories), self._counts, dict(sorted(self._splits.items())))
        self._lines.close()
        text = json.dumps(manifest.to_json(), indent=1)
        (self.work_path / MANIFEST).write_text(text + "\n", encoding="utf-8")
        if self.path.exists():
            os.replace(self.path, self._scratch / "old")
        os.replace(self.work_path, self.path)
        return manifest

    def _check_is_free(self, replace: bool) -> None:
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not (self.path / MANIFEST).exists():
            raise FileExistsError(f"{self.path} holds something that is no data set; choose another folder")
        if not replace:
            raise FileExistsError(f"{self.path} holds a data set already; choose another folder, or replace it")


def _read_manifest(path: Path) -> Manifest:
    try:
        found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        is_ours = found.get("format") == FORMAT
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"no data set at {path} ({MANIFEST}: {error}); make one with `wordmask import`") from error
    if not is_ours or found.get("version") != VERSION:
        raise DatasetError(
            f"{path / MANIFEST} is of format {found.get('format')!r}, version {found.get('version')!r}, "
            f"expected {FORMAT!r}, version {VERSION}; import the set again"
        )
    try:
        categories = tuple(Category(one["id"], one["name"], one["isthing"]) for one in found["categories"])
        return Manifest(found["source"], categories, found["counts"], found["splits"])
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{path / MANIFEST} is damaged ({error!r}); import the set again") from error
