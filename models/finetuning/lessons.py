"""Examples as the networks take them: what each image's expressions mean on SAM's mask canvas, and random batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.sample import Expression, Target
from models.embedding_cache import EmbeddingCache
from models.finetuning.examples import Example, words_to_labels
from models.masks import coco_rle_to_mask
from models.preprocess import Letterbox, clip_letterbox, sam_letterbox
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.batches import IGNORED, OBJECT_COVERAGE
from models.types import Box


class Meaning(NamedTuple):
    """What one expression refers to."""

    mask: Tensor
    """float ``[M, M]`` on SAM's mask canvas: the share of each cell that is covered; of a weak one, by its boxes."""
    box: Tensor
    """float ``[4]``: cx, cy, w, h in 0..1 of CLIP's canvas around everything; zeros for nothing."""
    is_weak: bool
    """Whether some of it is only known by a box."""


class Lesson(NamedTuple):
    """``K`` expressions about some of the images of a batch."""

    image: Tensor
    """int64 ``[K]``: number of the image among those of this process."""
    ids: Tensor
    """int64 ``[K, T]``."""
    masks: Tensor
    """float ``[K, M, M]``."""
    boxes: Tensor
    """float ``[K, 4]``."""
    has_target: Tensor
    """bool ``[K]``."""
    is_weak: Tensor
    """bool ``[K]``."""
    names: Tensor
    """int64 ``[B, N]``: which name each patch of CLIP's shows, -100 where that is not known."""

    def to(self, device: torch.device) -> Lesson:
        """All of it on a device."""
        return Lesson(*(part.to(device) for part in self))


class Meanings:
    """Draws the targets of examples on the canvases of a network.

    Args:
        config: of the network.
        memory_bytes: for masks that are kept; each target is decoded again where there is no room.
    """

    def __init__(self, config: SspSamConfig, memory_bytes: int) -> None:
        self._config = config
        self._kept = EmbeddingCache(memory_bytes)

    def of(self, example: Example, expression: Expression) -> Meaning:
        """What an expression of an example refers to.

        Raises:
            ValueError: the mask of a target is damaged.
        """
        ids = set(expression.target_ids)
        targets = [target for target in example.sample.targets if target.id in ids]
        side = self._config.mask_canvas
        mask, corners = torch.zeros(side, side), []
        for target in targets:
            drawn = self._drawn(example, target)
            mask = torch.maximum(mask, drawn["mask"].float() / 255)
            corners.append(drawn["box"])
        return Meaning(mask, _hull(corners), any(target.rle is None for target in targets))

    def names(self, example: Example, numbers: Mapping[str, int]) -> Tensor:
        """Which label's object covers each patch of CLIP's, int64 ``[N]``; -100 where none does, or the label has no number."""
        grid = self._config.clip.grid
        names = torch.full((grid * grid,), IGNORED)
        for target in example.sample.targets:
            if target.rle is not None and target.label is not None and target.label in numbers:
                share = F.adaptive_avg_pool2d(self._drawn(example, target)["mask"][None].float() / 255, grid).flatten()
                names[share >= OBJECT_COVERAGE] = numbers[target.label]
        return names

    def _drawn(self, example: Example, target: Target) -> dict[str, Tensor]:
        # By the path, too: two data sets may number the regions of one image differently.
        return self._kept.get(f"{example.path}-{example.key}-{target.id}", lambda: self._draw(example, target))

    def _draw(self, example: Example, target: Target) -> dict[str, Tensor]:
        size_hw, config = example.sample.size_hw, self._config
        if target.rle is None:
            assert target.box is not None
            mask = _filled(target.box, size_hw)
        else:
            mask = coco_rle_to_mask(target.rle)
        mask = example.view.mask(mask)
        box = bounds(mask)
        clip = clip_letterbox(size_hw, config.clip.image_size, config.clip.letterbox)
        corners = torch.tensor(clip.box_to_canvas(box)) / config.clip.image_size
        on_canvas = _on_canvas(mask, sam_letterbox(size_hw, config.sam.image_size), config.mask_canvas)
        return {"mask": (255 * on_canvas).round().to(torch.uint8), "box": corners}


class Sampler:
    """Draws lessons.

    Args:
        own: the examples that teach.
        replay: examples of the base's domain; may be empty.
        own_size: images of the first kind in a batch.
        replay_size: images of the second kind.
        per_image: most expressions of one image.
        meanings: of the expressions.
        tokenizer: of the model.
    """

    def __init__(
        self,
        own: Sequence[Example],
        replay: Sequence[Example],
        own_size: int,
        replay_size: int,
        per_image: int,
        meanings: Meanings,
        tokenizer: PhraseTokenizer,
    ) -> None:
        self._sources = [(own, own_size), (replay, replay_size if replay else 0)]
        self._per_image, self._meanings, self._tokenizer = per_image, meanings, tokenizer
        self._numbers, self.name_ids = _names([*own, *replay], tokenizer)

    def draw(self, rng: np.random.Generator) -> list[tuple[Example, tuple[Expression, ...]]]:
        """The images of a batch with the expressions to learn from."""
        chosen = [source[i] for source, size in self._sources if size for i in _draw_numbers(rng, len(source), size)]
        return [(example, draw_expressions(example.sample.expressions, self._per_image, rng)) for example in chosen]

    def lesson(self, batch: Sequence[tuple[Example, Sequence[Expression]]]) -> Lesson:
        """A batch, or one process's part of it, as the network takes it."""
        said = [(number, example, one) for number, (example, expressions) in enumerate(batch) for one in expressions]
        meanings = [self._meanings.of(example, one) for _, example, one in said]
        return Lesson(
            torch.tensor([number for number, _, _ in said]),
            self._tokenizer([one.text for _, _, one in said]),
            torch.stack([one.mask for one in meanings]),
            torch.stack([one.box for one in meanings]),
            torch.tensor([bool(one.box[2:].min() > 0) for one in meanings]),
            torch.tensor([one.is_weak for one in meanings]),
            torch.stack([self._meanings.names(example, self._numbers) for example, _ in batch]),
        )


def draw_expressions(expressions: Sequence[Expression], count: int, rng: np.random.Generator) -> tuple[Expression, ...]:
    """At most ``count`` of an image's expressions, of those that refer to nothing no more than of the others (or one).

    A label list leaves a hundred that refer to nothing. With fewer than one in two, though, the presence head soon says yes to everything
    on images that it does not know yet.
    """
    something = [one for one in expressions if one.target_ids]
    nothing = [one for one in expressions if not one.target_ids]
    positive = min(len(something), max(1, count - min(len(nothing), count // 2)))
    negative = min(len(nothing), count - positive, max(1, positive))
    return tuple(
        source[i] for source, size in ((something, positive), (nothing, negative)) for i in rng.choice(len(source), size, replace=False)
    )


def words_of_labels(examples: Sequence[Example]) -> dict[str, str]:
    """Labels of the regions of some examples, sorted, each with the words that stand for it."""
    words = {label: text for text, label in words_to_labels(examples).items()}
    labels = sorted({target.label for one in examples for target in one.sample.targets if target.label is not None})
    return {label: words.get(label, label) for label in labels}


def _names(examples: Sequence[Example], tokenizer: PhraseTokenizer) -> tuple[dict[str, int], Tensor]:
    """Labels with a number each, and how to say them, int64 ``[L, T]`` without common padding."""
    words = words_of_labels(examples)
    ids = tokenizer(list(words.values()))
    # CLIP's text tower is causal: padding behind the end token changes nothing.
    return {label: number for number, label in enumerate(words)}, ids[:, : int((ids != 0).sum(dim=1).max())] if words else ids


def bounds(mask: npt.NDArray[np.bool_]) -> Box:
    """The smallest box around a mask, pixels ``(x0, y0, x1, y1)``; an empty mask has none with an area, and gets zeros."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0.0, 0.0, 0.0, 0.0
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _draw_numbers(rng: np.random.Generator, known: int, size: int) -> npt.NDArray[np.int64]:
    """``size`` numbers below ``known``, each once as long as they last."""
    rounds = [rng.permutation(known) for _ in range(-(-size // known))]
    return np.concatenate(rounds)[:size]


def _filled(box: Box, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(size_hw, np.bool_)
    x0, y0, x1, y1 = (max(0, round(corner)) for corner in box)
    mask[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
    return mask


def _on_canvas(mask: npt.NDArray[np.bool_], letterbox: Letterbox, side: int) -> Tensor:
    """bool ``[H, W]`` -> the share of each cell of SAM's mask canvas that is covered, float ``[side, side]``."""
    height, width = letterbox.resized_hw
    is_smaller = height < mask.shape[0]
    resized = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
    padded = F.pad(torch.from_numpy(resized), (0, letterbox.side - width, 0, letterbox.side - height))
    return F.adaptive_avg_pool2d(padded[None], side)[0]


def _hull(corners: Sequence[Tensor]) -> Tensor:
    """x0, y0, x1, y1 of several boxes -> cx, cy, w, h around all of them; zeros for none."""
    if not corners:
        return torch.zeros(4)
    stacked = torch.stack(list(corners))
    low, high = stacked[:, :2].amin(dim=0), stacked[:, 2:].amax(dim=0)
    return torch.cat([(low + high) / 2, high - low])
