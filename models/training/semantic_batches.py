"""Batches of emoji scenes for label lists: images as both networks see them, and the label of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.emoji_scenes.dataset import SceneSet
from models.training.batches import network_inputs

SMALLEST_REGION = 16
"""Cells of the fine grid; smaller regions teach the prompter nothing."""


class SemanticBatch(NamedTuple):
    """``B`` labelled images."""

    clip_image: Tensor
    """float ``[B, 3, S, S]``."""
    sam_image: Tensor
    """float ``[B, 3, S', S']``."""
    labels: Tensor
    """int64 ``[B, S, S]`` over CLIP's canvas: 0 for nothing, else 1 + number of the class."""
    sizes_hw: tuple[tuple[int, int], ...]
    """What part of the canvas each scene fills, from the top left."""


class BatchSource(Protocol):
    """Draws batches from labelled images of any kind."""

    def batch(self, rng: np.random.Generator, size: int) -> SemanticBatch:
        """A batch of ``size`` images."""


class SemanticSampler:
    """Draws mirrored scenes from one or several sets.

    Args:
        sets: scene sets with their share of each batch.
        classes: class names, in the order of their numbers.
    """

    def __init__(self, sets: Sequence[tuple[SceneSet, float]], classes: Sequence[str]) -> None:
        self._sets = [scene_set for scene_set, _ in sets]
        total = sum(share for _, share in sets)
        self._shares = [share / total for _, share in sets]
        self._number = {name: number for number, name in enumerate(classes, start=1)}

    def batch(self, rng: np.random.Generator, size: int) -> SemanticBatch:
        """A batch of ``size`` scenes, each mirrored half of the time."""
        images, labels, sizes = [], [], []
        for choice in rng.choice(len(self._sets), size=size, p=self._shares):
            scene_set = self._sets[choice]
            index = int(rng.integers(len(scene_set)))
            meta = scene_set.meta(index)
            # Padded scenes are not mirrored: their padding belongs at the right and bottom.
            flip = slice(None, None, -1) if rng.random() < 0.5 and meta.size_hw == (256, 256) else slice(None)
            number_of = np.zeros(256, np.int64)
            for one in meta.objects:
                number_of[one.id] = self._number[one.name]
            images.append(scene_set.image(index)[:, flip])
            labels.append(number_of[scene_set.ids(index)[:, flip]])
            sizes.append(meta.size_hw)
        clip_image, sam_image = network_inputs(np.stack(images), sizes)
        return SemanticBatch(clip_image, sam_image, torch.from_numpy(np.stack(labels)), tuple(sizes))


def label_coverage(labels: Tensor, chosen: Tensor, side: int) -> Tensor:
    """How much of every cell shows each label, and nothing of them.

    Args:
        labels: int64 ``[B, S, S]``, 0 for nothing, else 1 + number of the class.
        chosen: numbers of T classes for each image, int64 ``[B, T]``.
        side: cells along a side.

    Returns:
        float ``[B, 1 + T, side, side]``, first what shows none of them; adds up to 1.
    """
    shown = F.adaptive_avg_pool2d((labels[:, None] == chosen[:, :, None, None] + 1).float(), side)
    return torch.cat([1 - shown.sum(dim=1, keepdim=True), shown], dim=1)


def middle_targets(labels: Tensor, fine: int, coarse: int) -> Tensor:
    """What the point prompter should say (spec 2.3): 1 in the middle of every region of one label, less towards its border, 0 outside.

    Args:
        labels: int64 ``[B, S, S]``.
        fine: side of the grid on which regions are found.
        coarse: side of the result.

    Returns:
        float ``[B, coarse, coarse]``.
    """
    step = labels.shape[-1] // fine
    cells = labels[:, step // 2 :: step, step // 2 :: step].numpy()
    targets = np.stack([_middles(one) for one in cells])
    return F.adaptive_max_pool2d(torch.from_numpy(targets), coarse)


def _middles(cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    target = np.zeros(cells.shape, np.float32)
    for label in np.unique(cells[cells > 0]):
        count, parts, stats, _ = cv2.connectedComponentsWithStats((cells == label).astype(np.uint8), connectivity=8)
        for part in range(1, count):
            if stats[part, cv2.CC_STAT_AREA] >= SMALLEST_REGION:
                inside = parts == part
                depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
                target[inside] = depth[inside] / depth.max()
    return target
