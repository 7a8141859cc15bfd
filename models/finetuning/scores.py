"""What people will see: an engine's answers on the images that measure, at full resolution, per label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from models.data.sample import Expression, Sample
from models.engine import Engine
from models.evaluation import union_of
from models.finetuning.examples import Example, labels_of, words_to_labels
from models.finetuning.lessons import bounds
from models.masks import coco_rle_to_mask
from models.metrics import Overlap
from models.types import BoolMask
from models.version_folder import LabelScore, Scores


def score_engine(engine: Engine, examples: Sequence[Example]) -> Scores:
    """Mean IoU over all expressions of some examples, and over those of each label.

    An expression that refers to nothing counts 1 where nothing was found, else 0, and counts for the label that its words stand for
    elsewhere. Where only boxes are known, the box around what was found is compared with them.
    """
    known = words_to_labels(examples)
    ious: list[float] = []
    by_label: dict[str, list[float]] = {}
    for example in examples:
        said = example.sample.expressions
        answers = engine.segment(example.image(), [one.text for one in said])
        for one, segments in zip(said, answers, strict=True):
            iou = _iou(union_of(segments, example.sample.size_hw), example.sample, one)
            ious.append(iou)
            for label in _labels(example.sample, one, known):
                by_label.setdefault(label, []).append(iou)
    table = {label: LabelScore(_mean(found), len(found)) for label, found in sorted(by_label.items())}
    return Scores(_mean(ious), table)


def _labels(sample: Sample, expression: Expression, known: Mapping[str, str]) -> tuple[str, ...]:
    return labels_of(sample, expression) or (known.get(expression.text.casefold(), expression.text),)


def _iou(found: BoolMask, sample: Sample, expression: Expression) -> float:
    ids = set(expression.target_ids)
    targets = [target for target in sample.targets if target.id in ids]
    truth = np.zeros(sample.size_hw, np.bool_)
    for target in targets:
        if target.rle is not None:
            truth |= coco_rle_to_mask(target.rle)
        elif target.box is not None:
            _fill(truth, target.box)
    if found.any() and any(target.rle is None for target in targets):
        box = bounds(found)
        found = np.zeros_like(found)
        _fill(found, box)
    return Overlap.between(found, truth).iou


def _fill(mask: BoolMask, box: Sequence[float]) -> None:
    x0, y0, x1, y1 = (max(0, round(corner)) for corner in box)
    mask[y0:y1, x0:x1] = True


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
