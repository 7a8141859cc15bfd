"""Batches of emoji scenes for the stages: images as both networks see them, and what lies under each patch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.data.emoji_scenes.colors import DOMINANT_SHARE, name_pixels
from models.data.emoji_scenes.dataset import SceneSet
from models.data.emoji_scenes.meta import SceneMeta
from models.data.emoji_scenes.repaint import Pixels
from models.data.emoji_scenes.vocabulary import COLORS
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

Change = Callable[[Pixels, Pixels, SceneMeta, np.random.Generator], tuple[Pixels, SceneMeta]]
"""Image, who is seen where, what is known about them -> an image and what is known about that: nothing moves."""


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
    """int64 ``[B, N]``: colour of the whole object, or -100."""
    part_colour: Tensor
    """int64 ``[B, N]``: colour that the patch shows of a repainted object that has none as a whole, or -100."""
    colour_count: int
    metas: tuple[SceneMeta, ...]
    """What the scenes show, in the colours they have here; where a scene is mirrored, its places are not."""


class SceneSampler:
    """Draws mirrored scenes from one or several sets.

    Args:
        sets: scene sets with their share of each batch.
        classes: class names, in the model's order.
        colours: colour words.
        change: what becomes of each scene before it is shown, for example :func:`models.data.emoji_scenes.repaint.repaint`.
    """

    def __init__(
        self, sets: Sequence[tuple[SceneSet, float]], classes: Sequence[str], colours: Sequence[str], change: Change | None = None
    ) -> None:
        self._sets = [scene_set for scene_set, _ in sets]
        total = sum(share for _, share in sets)
        self._shares = [share / total for _, share in sets]
        self._owners = [patch_owners(scene_set) for scene_set in self._sets]
        self._class_index = {name: number for number, name in enumerate(classes)}
        self._colour_index = {name: number for number, name in enumerate(colours)}
        self._change = change

    def batch(self, rng: np.random.Generator, size: int, *, mirror: bool = True) -> SceneBatch:
        """A batch of ``size`` scenes; each is mirrored half of the time, unless what is "left" must stay left."""
        choices = rng.choice(len(self._sets), size=size, p=self._shares)
        indices = [int(rng.integers(len(self._sets[choice]))) for choice in choices]
        mirrored = rng.random(size) < (0.5 if mirror else 0.0)
        return self._batch(choices, indices, mirrored, rng)

    def _batch(self, choices: Iterable[int], indices: Iterable[int], mirrored: Iterable[bool], rng: np.random.Generator) -> SceneBatch:
        images, ids, classes, colours, parts, metas = [], [], [], [], [], []
        for choice, index, mirror in zip(choices, indices, mirrored, strict=True):
            scene_set, owners = self._sets[choice], self._owners[choice][index]
            image, meta = scene_set.image(index), scene_set.meta(index)
            if self._change is not None:
                image, meta = self._change(image, scene_set.ids(index), meta, rng)
            # Padded scenes are not mirrored: their padding belongs at the right and bottom.
            flip = slice(None, None, -1) if mirror and meta.size_hw == (256, 256) else slice(None)
            images.append(image[:, flip])
            ids.append(scene_set.ids(index)[:, flip])
            # UNKNOWN_OWNER, -1, points at the last entry.
            class_of = [len(self._class_index), *(self._class_index[one.name] for one in meta.objects), IGNORED]
            colour_of = [IGNORED, *(self._colour_index.get(one.color or "", IGNORED) for one in meta.objects), IGNORED]
            classes.append(np.array(class_of)[owners[:, flip]])
            colours.append(np.array(colour_of)[owners[:, flip]])
            parts.append(self._part_colours(image, scene_set.ids(index), owners, meta)[:, flip])
            metas.append(meta)
        clip_image, sam_image = network_inputs(np.stack(images), [meta.size_hw for meta in metas])
        return SceneBatch(
            clip_image,
            sam_image,
            torch.from_numpy(np.stack(ids)),
            torch.from_numpy(np.stack(classes)).flatten(1).long(),
            torch.from_numpy(np.stack(colours)).flatten(1).long(),
            torch.from_numpy(np.stack(parts)).flatten(1).long(),
            len(self._colour_index),
            tuple(metas),
        )

    def _part_colours(self, image: Pixels, ids: Pixels, owners: npt.NDArray[np.int16], meta: SceneMeta) -> npt.NDArray[np.int64]:
        mixed = [one.id for one in meta.objects if one.recolored and one.color is None]
        asked = np.isin(owners, mixed)
        if not asked.any():
            return np.full(owners.shape, IGNORED)
        number = np.array([*(self._colour_index.get(color, IGNORED) for color in COLORS), IGNORED])
        return np.where(asked, number[patch_colours(image, ids, owners)], IGNORED)


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


UNKNOWN_OWNER = -1


def patch_owners(scene_set: SceneSet) -> npt.NDArray[np.int16]:
    """Whose every patch of every scene of a set is, ``[S, 16, 16]``: an object's number, 0 for the background, -1 where it is not clear."""
    owners = np.full((len(scene_set), PATCHES, PATCHES), UNKNOWN_OWNER, dtype=np.int16)
    for index in range(len(scene_set)):
        covering, coverage, covered = patch_coverage(scene_set.ids(index))
        on_object = coverage >= OBJECT_COVERAGE
        owners[index][on_object] = covering[on_object]
        owners[index][covered < BACKGROUND_COVERAGE] = 0
    return owners


def patch_colours(image: Pixels, ids: Pixels, owners: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """The colour that more than half of what each patch shows of its owner has.

    Args:
        image: uint8 ``[S, S, 3]`` RGB.
        ids: uint8 ``[S, S]``.
        owners: ``[16, 16]`` as of :func:`patch_owners`.

    Returns:
        int64 ``[16, 16]``: index into ``COLORS``, or -1.
    """
    cells, pixels = ids[::SAMPLE, ::SAMPLE], image[::SAMPLE, ::SAMPLE]
    side = len(cells) // PATCHES
    names = name_pixels(pixels.reshape(-1, 3)).reshape(cells.shape)
    # -2 is counted nowhere: pixels that are not the owner's.
    of_owner = cells == owners.repeat(side, axis=0).repeat(side, axis=1)
    blocks = np.where(of_owner, names, -2).reshape(PATCHES, side, PATCHES, side).transpose(0, 2, 1, 3).reshape(PATCHES, PATCHES, -1)
    counts = (blocks[..., None] == np.arange(-1, len(COLORS))).sum(axis=2)
    best = counts.argmax(axis=2)
    clear = counts.max(axis=2) > DOMINANT_SHARE * counts.sum(axis=2)
    found: npt.NDArray[np.int64] = np.where(clear, best - 1, -1)
    return found


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
