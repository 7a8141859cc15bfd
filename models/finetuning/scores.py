"""What people will see: an engine's answers on the images that measure, at full resolution, per label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from models.data.sample import Expression, Sample
from models.engine import Engine
from models.evaluation import union_of
from models.finetuning.examples import Example, labels_of, words_to_labels
from models.finetuning.lessons import bounds
from models.masks import coco_rle_to_mask
from models.metrics import Overlap
from models.proposals import ProposalOptions, ProposingEngine
from models.types import BoolMask
from models.version_folder import LabelScore, Scores, fair_mean

LABEL_KINDS = ("label", "absent")
"""Kinds of the expressions of a project that has labels and no prompts."""
MOST_PROPOSALS = 300
"""More than any image shows."""


def score_engine(engine: Engine, examples: Sequence[Example]) -> Scores:
    """Mean IoU over all expressions of some examples, and over those of each label (:func:`models.version_folder.fair_mean`).

    An expression that refers to nothing counts for the label that its words stand for elsewhere. Where only boxes are known, the box around
    what was found is compared with them.
    """
    known = words_to_labels(examples)
    whole: tuple[list[float], list[float]] = ([], [])
    by_label: dict[str, tuple[list[float], list[float]]] = {}
    for example in examples:
        said = example.sample.expressions
        for one, found in zip(said, _answers(engine, example), strict=True):
            iou = _iou(found, example.sample, one)
            is_nothing = not one.target_ids
            for kinds in (whole, *(by_label.setdefault(label, ([], [])) for label in _labels(example.sample, one, known))):
                kinds[is_nothing].append(iou)
    table = {label: LabelScore(_mean(*found), sum(map(len, found))) for label, found in sorted(by_label.items())}
    return Scores(_mean(*whole), table)


def _answers(engine: Engine, example: Example) -> Iterator[BoolMask]:
    """What is found for each expression, asked for as the service would: a mere list of labels at once, where the engine prefers that."""
    said, size_hw = example.sample.expressions, example.sample.size_hw
    texts = [one.text for one in said]
    is_list = all(one.kind in LABEL_KINDS for one in said) and not example.is_in_words
    if is_list and isinstance(engine, ProposingEngine) and engine.prefers_lists:
        proposals = engine.propose(example.image(), texts, options=ProposalOptions(max_proposals=MOST_PROPOSALS, label_map=False)).proposals
        for number in range(len(texts)):
            yield union_of([one.segment() for one in proposals if one.label_index == number], size_hw)
    else:
        for segments in engine.segment(example.image(), texts):
            yield union_of(segments, size_hw)


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


def _mean(something: Sequence[float], nothing: Sequence[float]) -> float:
    return round(fair_mean((sum(something), len(something)), (sum(nothing), len(nothing))), 4)
