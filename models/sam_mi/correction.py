"""Masks smooth the map of words softly: a doubtful or mixed mask cannot overwrite a label (spec 7.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.sam_mi.cost_map import Evidence
from models.sam_mi.sam_proposals import SamMasks


def correct(words: Evidence, masks: SamMasks, strength: float) -> Evidence:
    """Mix into every cell what the masks over it show on average.

    ``P' = (P + sum_m w_m Pbar_m) / (1 + sum_m w_m)`` with ``w_m = strength * A_m r_m``, where ``r_m`` is how good the mask is times how
    much its words agree. With ``strength`` 0 the map stays; the larger it is, the more a mask decides as a whole.

    Args:
        words: at the masks' resolution.
        masks: M masks, any number.
        strength: lambda, 0 or more.
    """
    if len(masks.logits) == 0 or strength == 0:
        return words
    probability = torch.cat([words.labels, words.nothing.unsqueeze(0)])
    soft = masks.soft
    mean = mask_means(masks.hard, probability)
    weight = soft * (strength * reliability(mean, masks.quality))[:, None, None]
    mixed = (probability + torch.einsum("mhw,mc->chw", weight, mean)) / (1 + weight.sum(dim=0))
    return Evidence(mixed[:-1], mixed[-1])


def mask_means(hard: Tensor, maps: Tensor) -> Tensor:
    """Mean of maps ``[C, h, w]`` inside masks bool ``[M, h, w]``, float ``[M, C]``; zeros for an empty mask."""
    fine = hard.flatten(1).to(maps.dtype)
    return fine @ maps.flatten(1).T / fine.sum(dim=1, keepdim=True).clamp(min=1)


def reliability(mean: Tensor, quality: Tensor) -> Tensor:
    """How far a mask may speak: its quality, less the more names it mixes.

    Args:
        mean: probabilities float ``[M, C]``, C at least 2.
        quality: float ``[M]``, 0..1.

    Returns:
        float ``[M]``, 0..1.
    """
    mixture = torch.special.entr(mean).sum(dim=1) / math.log(mean.shape[1])
    answer: Tensor = quality * (1 - mixture).clamp(0, 1)
    return answer
