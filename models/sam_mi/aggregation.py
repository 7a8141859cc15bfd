"""Shallow Mask Aggregation: SAM's fragments are joined, once and carefully (spec section 3).

Shallow means here: one pass, no learned part, no second look after a merge. Merging until nothing changes would chain neighbours until one
mask swallows several objects.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.sam_mi.canvas import resize
from models.sam_mi.presets import Preset
from models.sam_mi.sam_proposals import SamMasks

FEW_SHARED = 0.1
"""Neighbours touch; masks with a larger IoU overlap, which is another matter."""


class JoinedMasks(NamedTuple):
    """M' masks, each of one or several of SAM's."""

    masks: SamMasks
    """Scores are means over the members, weighted by area; ``point`` is that of the best member."""
    members: tuple[tuple[int, ...], ...]
    """Numbers of the masks that each was joined from, best first."""


class Descriptors(NamedTuple):
    """What M masks show."""

    feature: Tensor
    """float ``[M, E]`` of length 1."""
    probability: Tensor
    """float ``[M, C]``: mean of the words' probabilities, ``nothing`` last."""


def describe(hard: Tensor, features: Tensor, probability: Tensor) -> Descriptors:
    """Pool features and words over masks.

    Args:
        hard: bool ``[M, h, w]``.
        features: float ``[E, g, g]`` of length 1.
        probability: float ``[C, h, w]``, ``nothing`` last.
    """
    area = resize(hard.float(), features.shape[-1]).flatten(1)
    feature = F.normalize(area @ features.flatten(1).T, dim=-1)
    fine = hard.flatten(1).float()
    mean = fine @ probability.flatten(1).T / fine.sum(dim=1, keepdim=True).clamp(min=1)
    return Descriptors(feature, mean)


def aggregate(masks: SamMasks, seen: Descriptors, stuff: Tensor, inside: Tensor, preset: Preset, *, join_things: bool) -> JoinedMasks:
    """Join what belongs together.

    Args:
        masks: M masks, best first, no two of them nearly equal.
        seen: descriptors of them.
        stuff: bool ``[C]``: names of what cannot be counted; ``nothing``, the last, is among them.
        inside: bool ``[h, w]``: cells that show the image.
        preset: thresholds.
        join_things: whether neighbours that look alike are joined even if they are things: right for a label map, wrong for objects.
    """
    edges = merge_edges(masks.hard, seen, stuff, preset, join_things=join_things)
    limit = preset.largest_join * int(inside.sum())
    is_stuff = stuff[seen.probability.argmax(dim=1)].tolist()
    groups = _Groups(masks.hard)
    for first, second in edges:
        groups.join(first, second, most_cells=math.inf if is_stuff[first] and is_stuff[second] else limit)
    members = groups.members()
    return JoinedMasks(_merge(masks, members), members)


def merge_edges(hard: Tensor, seen: Descriptors, stuff: Tensor, preset: Preset, *, join_things: bool) -> list[tuple[int, int]]:
    """Pairs of masks that belong together, the most alike first; arguments as for :func:`aggregate`."""
    flat = hard.flatten(1).float()
    area = flat.sum(dim=1)
    shared = flat @ flat.T
    iou = shared / (area[:, None] + area[None, :] - shared).clamp(min=1)
    contained = shared / torch.minimum(area[:, None], area[None, :]).clamp(min=1)
    touching = F.max_pool2d(hard.float().unsqueeze(1), 3, 1, 1).flatten(1) @ flat.T > 0
    alike = seen.feature @ seen.feature.T
    label = seen.probability.argmax(dim=1)
    same_label = label[:, None] == label[None, :]
    part = (contained >= preset.part_containment) & (alike >= preset.part_similarity)
    neighbour = touching & (iou < FEW_SHARED) & (alike >= preset.neighbour_similarity)
    neighbour &= agreement(seen.probability) >= preset.neighbour_similarity
    if not join_things:
        neighbour &= stuff[label][:, None]
    first, second = torch.nonzero((same_label & (part | neighbour)).triu(1), as_tuple=True)
    order = alike[first, second].argsort(descending=True, stable=True)
    return list(zip(first[order].tolist(), second[order].tolist(), strict=True))


def agreement(probability: Tensor) -> Tensor:
    """1 - Jensen-Shannon divergence in bits of distributions ``[M, C]``, float ``[M, M]``, 0..1."""
    middle = (probability[:, None] + probability[None, :]) / 2
    return 1 - (_entropy(middle) - (_entropy(probability)[:, None] + _entropy(probability)[None, :]) / 2) / math.log(2)


def _entropy(probability: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(probability).sum(dim=-1)
    return entropy


class _Groups:
    """Disjoint sets of masks with the area of their unions."""

    def __init__(self, hard: Tensor) -> None:
        self._leader = list(range(len(hard)))
        self._union = dict(enumerate(hard))

    def join(self, first: int, second: int, *, most_cells: float) -> None:
        """Make one set of two unless it grew larger than ``most_cells``. A part that its whole covers does not let it grow."""
        low, high = sorted((self._find(first), self._find(second)))
        if low == high:
            return
        joined = self._union[low] | self._union[high]
        area = int(joined.sum())
        if area > most_cells and area > max(int(self._union[one].sum()) for one in (low, high)):
            return
        self._leader[high] = low
        self._union[low] = joined

    def members(self) -> tuple[tuple[int, ...], ...]:
        """The sets, each and all in ascending order."""
        sets: dict[int, list[int]] = {}
        for number in range(len(self._leader)):
            sets.setdefault(self._find(number), []).append(number)
        return tuple(map(tuple, sets.values()))

    def _find(self, number: int) -> int:
        while self._leader[number] != number:
            number = self._leader[number]
        return number


def _merge(masks: SamMasks, members: tuple[tuple[int, ...], ...]) -> SamMasks:
    if not members:
        return masks
    area = masks.hard.sum(dim=(1, 2)).float()
    rows = []
    for group in members:
        one = masks.select(torch.tensor(group, device=area.device))
        weight = area[list(group)] / area[list(group)].sum()
        rows.append((one.logits.amax(dim=0), (one.predicted_iou * weight).sum(), (one.stability * weight).sum(), one.point[0]))
    return SamMasks(*(torch.stack(part) for part in zip(*rows, strict=True)))
