"""Batches of emoji scenes for the stages: images as both networks see them, and what lies under each patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.data.emoji_scenes.dataset import SceneSet
from models.preprocess import normalise_clip, normalise_sam

PATCHES = 16
"""Patches along one side of the tiny model's 256-pixel canvas."""
SAMPLE = 2
"""Coverage of patches is counted on every second pixel: exact enough, four times faster."""
OBJECT_COVERAGE = 0.4
"""A patch belongs to the object that covers at least this share of it."""
BACKGROUND_COVERAGE = 0.05
"""Less than this covered by anything: background. Patches between the two thresholds teach nothing."""
IGNORED = -100


class SceneBatch(NamedTuple):
    """``B`` scenes."""

    clip_image: Tensor
    """float ``[B, 3, S, S]``."""
    sam_image: Tensor
    """float ``[B, 3, S, S]``."""
    ids: Tensor
    """uint8 ``[B, S, S]``: 0 background, else the number of the visible object."""
    patch_class: Tensor
    """int64 ``[B, N]``: class, or the number of classes for background, or -100."""
    patch_colour: Tensor
    """int64 ``[B, N]``: colour, or -100."""
    colour_count: int


class SceneSampler:
    """Draws mirrored scenes from one or several sets.

    Args:
        sets: scene sets with their share of each batch.
        classes: class names, in the model's order.
        colours: colour words.
    """

    def __init__(self, sets: Sequence[tuple[SceneSet, float]], classes: Sequence[str], colours: Sequence[str]) -> None:
        self._sets = [scene_set for scene_set, _ in sets]
        total = sum(share for _, share in sets)
        self._shares = [share / total for _, share in sets]
        self._labels = [PatchLabels(scene_set, classes, colours) for scene_set in self._sets]
        self._colour_count = len(colours)

    def batch(self, rng: np.random.Generator, size: int) -> SceneBatch:
        """A batch of ``size`` scenes, each mirrored half of the time."""
        choices = rng.choice(len(self._sets), size=size, p=self._shares)
        indices = [int(rng.integers(len(self._sets[choice]))) for choice in choices]
        return self._batch(choices, indices, rng.random(size) < 0.5)

    def scenes(self, indices: npt.NDArray[np.integer]) -> SceneBatch:
        """The named scenes of the first set, as they are: what is "left" must stay left."""
        return self._batch([0] * len(indices), [int(i) for i in indices], [False] * len(indices))

    def _batch(self, choices: Iterable[int], indices: Iterable[int], mirrored: Iterable[bool]) -> SceneBatch:
        images, ids, classes, colours, valid = [], [], [], [], []
        for choice, index, mirror in zip(choices, indices, mirrored, strict=True):
            scene_set, labels = self._sets[choice], self._labels[choice]
            # Padded scenes are not mirrored: their padding belongs at the right and bottom.
            flip = slice(None, None, -1) if mirror and scene_set.meta(index).size_hw == (256, 256) else slice(None)
            images.append(scene_set.image(index)[:, flip])
            ids.append(scene_set.ids(index)[:, flip])
            classes.append(labels.classes[index][:, flip])
            colours.append(labels.colours[index][:, flip])
            valid.append(scene_set.meta(index).size_hw)
        clip_image, sam_image = network_inputs(np.stack(images), valid)
        return SceneBatch(
            clip_image,
            sam_image,
            torch.from_numpy(np.stack(ids)),
            torch.from_numpy(np.stack(classes)).flatten(1).long(),
            torch.from_numpy(np.stack(colours)).flatten(1).long(),
            self._colour_count,
        )


def network_inputs(images: npt.NDArray[np.uint8], valid_hw: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """uint8 ``[B, S, S, 3]`` with the image at the top left -> CLIP's and SAM's float ``[B, 3, S, S]``, zero where no image is."""
    # No copy for the layout: NHWC memory seen as NCHW is what the convolutions prefer.
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    clip, sam = normalise_clip(pixels), normalise_sam(pixels)
    for row, (height, width) in enumerate(valid_hw):
        for tensor in (clip, sam):
            tensor[row, :, height:] = 0
            tensor[row, :, :, width:] = 0
    return clip, sam


class PatchLabels:
    """Class and colour of every patch of every scene of a set, int16 ``[S, 16, 16]``, counted once."""

    def __init__(self, scene_set: SceneSet, classes: Sequence[str], colours: Sequence[str]) -> None:
        class_index = {name: number for number, name in enumerate(classes)}
        colour_index = {name: number for number, name in enumerate(colours)}
        shape = (len(scene_set), PATCHES, PATCHES)
        self.classes = np.full(shape, IGNORED, dtype=np.int16)
        self.colours = np.full(shape, IGNORED, dtype=np.int16)
        for index in range(len(scene_set)):
            covering, coverage, covered = patch_coverage(scene_set.ids(index))
            objects = scene_set.meta(index).objects
            class_of = np.array([len(classes), *(class_index[o.name] for o in objects)], dtype=np.int16)
            colour_of = np.array([IGNORED, *(colour_index.get(o.color or "", IGNORED) for o in objects)], dtype=np.int16)
            on_object = coverage >= OBJECT_COVERAGE
            self.classes[index][on_object] = class_of[covering[on_object]]
            self.colours[index][on_object] = colour_of[covering[on_object]]
            self.classes[index][covered < BACKGROUND_COVERAGE] = len(classes)


def patch_coverage(
    ids: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What lies under each patch.

    Args:
        ids: uint8 ``[S, S]``.

    Returns:
        for every patch the object that covers most, the share it covers, and the share that any object covers; ``[16, 16]`` each.
    """
    cells = ids[::SAMPLE, ::SAMPLE]
    side = cells.shape[0] // PATCHES
    blocks = cells.reshape(PATCHES, side, PATCHES, side).transpose(0, 2, 1, 3).reshape(PATCHES * PATCHES, side * side)
    counts = np.zeros((len(blocks), int(ids.max()) + 1), dtype=np.int64)
    np.add.at(counts, (np.repeat(np.arange(len(blocks)), side * side), blocks.ravel()), 1)
    shares = counts / (side * side)
    covered = (1 - shares[:, 0]).reshape(PATCHES, PATCHES)
    shares[:, 0] = 0
    return shares.argmax(axis=1).reshape(PATCHES, PATCHES), shares.max(axis=1).reshape(PATCHES, PATCHES), covered
