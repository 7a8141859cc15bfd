"""Masks and words become a list of proposals, each with label and score (spec 7.5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.proposals import Source
from models.sam_mi.aggregation import JoinedMasks
from models.sam_mi.canvas import resize
from models.sam_mi.correction import mask_means
from models.sam_mi.cost_map import Evidence
from models.sam_mi.presets import Preset
from models.sam_mi.region_points import Region
from models.sam_mi.sam_proposals import pairwise_iou, suppress

COVERED = 0.5
"""A region counts as found when a proposal with its label covers at least this share of it."""
REGION_SCORE = 0.5
"""Factor on the confidence of a region that SAM gave no mask for."""


class Candidate(NamedTuple):
    """A proposal over CLIP's canvas, before it becomes pixels."""

    label: int
    score: float
    logits: Tensor
    """float ``[side, side]``; above 0 is mask."""
    source: Source
    predicted_iou: float
    stability: float
    members: tuple[int, ...]
    """Numbers of SAM's masks."""
    is_stuff: bool


def classify(joined: JoinedMasks, words: Evidence, similarity: Tensor) -> tuple[Tensor, Tensor]:
    """Label of each mask and how sure it is: half by what its features say as a whole, half by its cells.

    Args:
        joined: M' masks.
        words: after the correction.
        similarity: probabilities float ``[M', T + 1]`` of the masks' pooled features, ``nothing`` last.

    Returns:
        label int64 ``[M']``, -1 where ``nothing`` wins, and its probability float ``[M']``.
    """
    cells = mask_means(joined.masks.hard, torch.cat([words.labels, words.nothing.unsqueeze(0)]))
    value, label = ((similarity + cells) / 2).max(dim=1)
    return label.where(label < len(words.labels), torch.full_like(label, -1)), value


def list_masks(joined: JoinedMasks, label: Tensor, value: Tensor, stuff: Tensor) -> list[Candidate]:
    """One candidate per labelled mask, best first; all masks of one kind of stuff together make one.

    Args:
        joined: M' masks.
        label: int64 ``[M']``, -1 for none.
        value: float ``[M']``, 0..1.
        stuff: bool ``[T + 1]``.
    """
    score = (joined.masks.quality * value).clamp(min=0) ** (1 / 3)
    found: list[Candidate] = []
    for name in np.unique(label.cpu()).tolist():
        if name < 0:
            continue
        own = torch.nonzero(label == name).squeeze(1).tolist()
        is_stuff = bool(stuff[name])
        for group in [own] if is_stuff else [[one] for one in own]:
            best = max(group, key=lambda one: float(score[one]))
            found.append(
                Candidate(
                    name,
                    float(score[best].clamp(max=1)),
                    joined.masks.logits[group].amax(dim=0),
                    "sam",
                    float(joined.masks.predicted_iou[best]),
                    float(joined.masks.stability[best]),
                    tuple(sorted(member for one in group for member in joined.members[one])),
                    is_stuff,
                )
            )
    return sorted(found, key=lambda one: -one.score)


def list_regions(regions: list[Region], words: Evidence, found: list[Candidate], stuff: Tensor) -> list[Candidate]:
    """What the words mark and no mask explains: every confident label yields something even where SAM fails."""
    side = words.nothing.shape[-1]
    best, _ = words.best()
    missed = []
    for region in regions:
        cells = resize(torch.from_numpy(region.cells.astype(np.float32)).to(best.device).unsqueeze(0), side).squeeze(0) > 0.5
        own = [one.logits > 0 for one in found if one.label == region.label]
        covered = torch.stack(own).any(dim=0) if own else torch.zeros_like(cells)
        shown = cells & (best == region.label)
        if not shown.any() or (covered & shown).sum() >= COVERED * shown.sum():
            continue
        logits = torch.where(shown, 1.0, -1.0)
        score = min(1.0, REGION_SCORE * region.confidence)
        missed.append(Candidate(region.label, score, logits, "region", 0.0, 0.0, (), bool(stuff[region.label])))
    return missed


def keep_best(candidates: list[Candidate], preset: Preset, *, min_score: float, most: int) -> list[Candidate]:
    """Without the unsure ones and those that nearly equal a better one with the same label; at most ``most``, best first."""
    ranked = sorted((one for one in candidates if one.score >= min_score), key=lambda one: -one.score)
    if not ranked:
        return []
    overlap = pairwise_iou(torch.stack([one.logits > 0 for one in ranked]))
    label = torch.tensor([one.label for one in ranked], device=overlap.device)
    overlap = overlap * (label[:, None] == label[None, :])
    return [ranked[one] for one in suppress(overlap, preset.proposal_nms).tolist()][:most]
