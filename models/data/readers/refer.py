"""RefCOCO, RefCOCO+, RefCOCOg and ReferIt (RefCLEF): ``instances.json`` and a pickle of references, such as ``refs(unc).p``.

Source of the format: the README and the fields of https://github.com/lichengunc/refer. A reference is about one annotation; it has one
or more sentences, each an expression here. The split stands in the reference: in some divisions one image serves several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.data.readers import coco
from models.data.readers.gathering import Gathering
from models.data.readers.json_file import JsonFile
from models.data.readers.plain_pickle import load_plain_pickle
from models.data.readers.source import DatasetReadError, DatasetSource, shown
from models.data.sample import Category, Expression

INSTANCES = "instances.json"
_NAME = re.compile(r"g?refs\((\w+)\)\.(p|json)")


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather images and annotations of ``instances.json``, and the expressions of one division.

    Raises:
        DatasetReadError: a file is missing or cannot be read at all, or ``split_by`` is needed.
    """
    references = find_references(source, "refs")
    categories = read_instances(source, references, gathering)
    for reference in load_references(source, references):
        add_reference(source, reference, gathering)
    return categories


def read_instances(source: DatasetSource, references: Path, gathering: Gathering) -> tuple[Category, ...]:
    """Gather what stands in the ``instances.json`` beside the references."""
    file = JsonFile(source, references.with_name(INSTANCES))
    categories = coco.read_categories(source, file)
    coco.read_images(source, file, gathering)
    coco.read_annotations(source, file, gathering, categories)
    file.report()
    return tuple(categories.values())


def find_references(source: DatasetSource, prefix: str) -> Path:
    """The file of references that a source means.

    Args:
        source: its path is that file, or the folder that holds it.
        prefix: what its name begins with: ``refs`` or ``grefs``.

    Raises:
        DatasetReadError: there is none, or there are several and ``split_by`` does not choose.
    """
    if source.path.is_file():
        return source.path
    found = {match[1]: path for path in sorted(source.path.glob(f"{prefix}(*")) if (match := _NAME.fullmatch(path.name))}
    if source.split_by is None and len(found) == 1:
        return next(iter(found.values()))
    if source.split_by in found:
        return found[source.split_by]
    if not found:
        raise DatasetReadError(f"{source.path} holds no file {prefix}(...).p or .json; expected it beside {INSTANCES}")
    named = f"is not divided by {source.split_by!r}" if source.split_by else "is divided in several ways"
    raise DatasetReadError(f"{source.path} {named}; choose one of: {', '.join(found)}")


def load_references(source: DatasetSource, path: Path) -> Iterator[Any]:
    """All references of a file, pickled or JSON.

    Raises:
        DatasetReadError: the pickle is damaged, or is no list.
    """
    if path.suffix == ".json":
        file = JsonFile(source, path)
        yield from file.items(None)
        file.report()
        return
    references = load_plain_pickle(path)
    if not isinstance(references, list):
        raise DatasetReadError(f"{path.name} holds {shown(references)}, expected a list of references")
    for number, reference in enumerate(references):
        if not number % 1000:
            source.on_progress(f"references of {path.name}", number, len(references))
        yield reference
    source.on_progress(f"references of {path.name}", len(references), len(references))


def add_reference(source: DatasetSource, reference: Any, gathering: Gathering, *, tell_kind: bool = False) -> None:
    """Gather the sentences of one reference; what cannot be used is reported.

    Args:
        source: of the reference.
        reference: ``ann_id`` is one annotation or a list of them, -1 or nothing for none.
        gathering: has the images.
        tell_kind: whether expressions are told apart by the number of their targets.
    """
    sentences = reference.get("sentences") if isinstance(reference, dict) else None
    if not isinstance(sentences, list):
        source.lost("bad-reference", f"found {shown(reference)} without sentences, expected a reference with a list of them")
        return
    where = {"image": shown(reference.get("image_id")), "reference": shown(reference.get("ref_id"))}
    target_ids = _target_ids(reference.get("ann_id"))
    if target_ids is None:
        source.lost("bad-reference", "its ann_id is no annotation's id, nor a list of them", **where)
        return
    split = reference.get("split")
    if not isinstance(split, str):
        source.changed("no-split", f"its split is {shown(split)}, expected a name", "kept without a split", **where)
        split = source.split
    kind = _KINDS[min(len(target_ids), 2)] if tell_kind else None
    for sentence in sentences:
        text, sentence_id = _text_and_id(sentence)
        if text is None:
            source.lost("bad-sentence", f"a sentence is {shown(sentence)} without text in sent or raw", **where)
        else:
            gathering.add_expression(reference.get("image_id"), Expression(text, target_ids, kind, split, sentence_id))


_KINDS = ("no target", "one target", "several targets")


def _target_ids(found: Any) -> tuple[int, ...] | None:
    ids = found if isinstance(found, list) else [found]
    if any(type(one) is not int and one is not None for one in ids):
        return None
    return tuple(dict.fromkeys(one for one in ids if one is not None and one != -1))


def _text_and_id(sentence: Any) -> tuple[str | None, int | str | None]:
    if not isinstance(sentence, dict):
        return None, None
    texts = (sentence.get(key) for key in ("sent", "raw"))
    text = next((text.strip() for text in texts if isinstance(text, str) and text.strip()), None)
    sentence_id = sentence.get("sent_id")
    return text, sentence_id if isinstance(sentence_id, (int, str)) else None
