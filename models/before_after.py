"""Pictures of what a version changed: validation images, answered by the engine before and by the one after."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.data.dataset_folder import DatasetFolder
from models.data.sample import Sample
from models.doubt import disagreement
from models.engine import Engine
from models.evaluation import union_of
from models.finetuning.examples import Example, read_examples, split_examples
from models.report.pictures import draw_masks, to_jpeg
from models.types import BoolMask, RgbImage

MOST_ASKED = 24
"""Images that are looked at, for the few that are shown."""

LONGEST_SIDE = 360
_MOST_WORDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """One image with the union of its targets and of what was found for them; pixels of each, bool ``[H, W]``."""

    right: BoolMask
    missed: BoolMask
    too_much: BoolMask
    iou: float


def write_before_after(folder: Path, before: Engine, after: Engine, dataset: Path, *, most: int = 6) -> int:
    """Draw the images whose answers changed most, for better and for worse.

    Args:
        folder: appears when it is complete: ``pictures.json``, a list of ``{words, before, after}`` (mean IoU), and of each
            ``N-before.jpg`` and ``N-after.jpg``.
        before: the engine that served.
        after: the engine of the new version.
        dataset: folder of a data set; of its images that measure (see :func:`models.finetuning.examples.split_examples`) the first
            :data:`MOST_ASKED` are looked at.
        most: pictures at most.

    Returns:
        How many were drawn.

    Raises:
        OSError: the folder cannot be written.
        models.data.dataset_folder.DatasetError: there is no data set.
    """
    measuring = split_examples(read_examples(DatasetFolder(dataset))).measuring
    asked = [one for one in measuring if _expressions(one.sample)][:MOST_ASKED]
    changes = [_answer(after, one).iou - _answer(before, one).iou for one in asked]
    chosen = sorted(zip(changes, asked, strict=True), key=lambda pair: -abs(pair[0]))[:most]
    listed = []
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for place, (_, example) in enumerate(chosen):
        answers = {"before": _answer(before, example), "after": _answer(after, example)}
        for name, answered in answers.items():
            (part / f"{place}-{name}.jpg").write_bytes(to_jpeg(_draw(example.image(), answered)))
        words = [text for text, mask in _expressions(example.sample).items() if mask.any()][:_MOST_WORDS]
        listed.append({"words": ", ".join(words) or "nothing to find", **{name: round(one.iou, 4) for name, one in answers.items()}})
    (part / "pictures.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return len(listed)


def _answer(engine: Engine, example: Example) -> _Answered:
    sample = example.sample
    right, missed, too_much = (np.zeros(sample.size_hw, np.bool_) for _ in range(3))
    ious = []
    expressions = _expressions(sample)
    for truth, segments in zip(expressions.values(), engine.segment(example.image(), list(expressions)), strict=True):
        found = union_of(segments, sample.size_hw)
        right |= truth & found
        missed |= truth & ~found
        too_much |= found & ~truth
        ious.append(1.0 - disagreement(found, truth))
    return _Answered(right, missed & ~right, too_much & ~right, float(np.mean(ious)))


def _expressions(sample: Sample) -> dict[str, BoolMask]:
    """Words and their masks; those of a target that has only a box are left out."""
    return dict(_with_masks(sample))


def _with_masks(sample: Sample) -> Iterator[tuple[str, BoolMask]]:
    has_mask = {target.id for target in sample.targets if target.rle is not None}
    for expression in sample.expressions:
        if has_mask.issuperset(expression.target_ids):
            yield expression.text, sample.mask_of(expression.target_ids)


def _draw(image: RgbImage, answered: _Answered) -> RgbImage:
    scale = min(1.0, LONGEST_SIDE / max(image.shape[:2]))
    size_wh = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))

    def small(mask: BoolMask) -> BoolMask:
        return np.asarray(cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST), np.bool_)

    return draw_masks(image, small(answered.right), small(answered.missed), small(answered.too_much))
