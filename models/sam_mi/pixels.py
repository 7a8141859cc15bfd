"""From small maps over CLIP's canvas to values at the size of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.masks import mask_to_coco_rle
from models.preprocess import Letterbox, masks_to_image
from models.proposals import Proposal
from models.sam_mi.cost_map import Evidence
from models.sam_mi.listing import Candidate
from models.sam_mi.question import Question
from models.semantic_metrics import LabelMap
from models.types import Segment


def label_map(words: Evidence, place: Sequence[int], letterbox: Letterbox) -> LabelMap:
    """The best label of every pixel, int32 ``[H, W]``: 0 for nothing, else 1 + place of the label.

    Args:
        words: of T names.
        place: of each name among the labels.
        letterbox: CLIP's.

    Maps are enlarged one at a time, and only those of labels that win some cell: a thousand labels cost no more than the few that are seen.
    """
    winners, _ = words.best()
    best = masks_to_image(words.nothing.unsqueeze(0), letterbox)[0]
    found = torch.zeros(best.shape, dtype=torch.int32, device=best.device)
    for name in np.unique(winners.cpu()).tolist():
        if name >= 0:
            value = masks_to_image(words.labels[name : name + 1], letterbox)[0]
            found.masked_fill_(value > best, place[name] + 1)
            best = torch.maximum(best, value)
    answer: LabelMap = found.cpu().numpy()
    return answer


def to_proposals(
    chosen: Sequence[Candidate], question: Question, points: npt.NDArray[np.float64], letterbox: Letterbox
) -> tuple[Proposal, ...]:
    """Candidates in pixels, in their order; those of which no pixel is left are left out.

    Args:
        chosen: what to return.
        question: the labels.
        points: float ``[M, 2]``, x and y in pixels of the image: where each of SAM's masks was asked.
        letterbox: CLIP's.
    """
    answers = (_to_proposal(one, question, points, letterbox) for one in chosen)
    return tuple(answer for answer in answers if answer is not None)


def _to_proposal(one: Candidate, question: Question, points: npt.NDArray[np.float64], letterbox: Letterbox) -> Proposal | None:
    mask = (masks_to_image(one.logits.unsqueeze(0), letterbox)[0] > 0).cpu().numpy()
    if not mask.any():
        return None
    place = question.place[one.label]
    segment = Segment(question.labels[place], mask, one.score)
    return Proposal(
        label=segment.text,
        label_index=place,
        score=one.score,
        rle=mask_to_coco_rle(mask),
        box=segment.box,
        area=segment.area,
        source=one.source,
        predicted_iou=one.predicted_iou,
        stability=one.stability,
        points=tuple((float(x), float(y)) for x, y in points[list(one.members)].tolist()),
        members=one.members,
        is_stuff=one.is_stuff,
    )


def on_image(maps: Tensor, cells: tuple[slice, slice]) -> npt.NDArray[Any]:
    """The part of maps ``[..., side, side]`` that shows the image; the type of the numbers stays."""
    part: npt.NDArray[Any] = maps[(..., *cells)].cpu().numpy()
    return part
