"""Collages: what people marked, cut out and pasted into other images, so that few corrections teach in many surroundings.

After copy-paste augmentation (Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method", 2021). Only labels are spoken of:
what else was said of an image may not be true of its collage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.data.sample import Expression, Sample, Target
from models.finetuning.examples import Example, read_image
from models.finetuning.lessons import bounds, words_of_labels
from models.masks import CocoRle, coco_rle_to_mask, mask_to_coco_rle
from models.types import BoolMask, RgbImage

MOST_IN_ALL = 400
"""However many images there are: with that many, they differ enough by themselves, and every collage has to be embedded."""
MOST_PIECES = 3
SCALES = (0.6, 1.4)
LARGEST_SHARE = 0.9
"""No piece is longer than that share of the side of its new image."""
LARGEST_ANGLE = 30.0
"""Degrees."""
LEAST_VISIBLE = 0.25
"""Of an object of which less is left, nothing is said any more."""


class Marked(NamedTuple):
    """A region that somebody marked by its outline."""

    example: Example
    rle: CocoRle
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A marked object and where it goes."""

    marked: Marked
    placing: npt.NDArray[np.float64]
    """Affine map float ``[2, 3]`` from pixels of its own image to those of the collage."""

    def mask(self, size_hw: tuple[int, int]) -> BoolMask:
        """Where it lies, bool ``[H, W]``."""
        own = coco_rle_to_mask(self.marked.rle).astype(np.uint8)
        return np.asarray(cv2.warpAffine(own, self.placing, size_hw[::-1], flags=cv2.INTER_NEAREST), np.bool_)

    def paste(self, image: RgbImage) -> None:
        """Draw it into an image uint8 ``[H, W, 3]``."""
        height, width = image.shape[:2]
        pixels = cv2.warpAffine(read_image(self.marked.example.path), self.placing, (width, height), flags=cv2.INTER_LINEAR)
        where = self.mask((height, width))
        image[where] = pixels[where]


@dataclass(frozen=True, slots=True, eq=False)
class Collage(Example):
    """An example with pieces of others over it; ``path`` is that of the image below."""

    pieces: tuple[Piece, ...] = ()

    @property
    def key(self) -> str:
        """Tells what is pasted where."""
        pasted = hashlib.blake2b(digest_size=16)
        for piece in self.pieces:
            pasted.update(f"{piece.marked.example.digest} {piece.marked.rle['counts']!r}".encode() + piece.placing.tobytes())
        return f"{self.digest}-{pasted.hexdigest()}"

    def image(self) -> RgbImage:
        """The collage, uint8 ``[H, W, 3]``."""
        image = read_image(self.path).copy()
        for piece in self.pieces:
            piece.paste(image)
        return image


def make_collages(examples: Sequence[Example], per_example: int, seed: int) -> list[Example]:
    """So many collages for each example, the same for the same seed, at most :data:`MOST_IN_ALL`; none where no outline is marked.

    Args:
        examples: whose labels are known.
        per_example: how many for each.
        seed: of what is pasted where.
    """
    words = words_of_labels(examples)
    by_label: dict[str, list[Marked]] = {}
    for one in examples:
        for target in one.sample.targets:
            if target.rle is not None and target.label is not None:
                by_label.setdefault(target.label, []).append(Marked(one, target.rle, target.label))
    if not by_label:
        return []
    count = min(MOST_IN_ALL, per_example * len(examples))
    made = (_collage(examples, by_label, words, np.random.default_rng([seed, number])) for number in range(count))
    return [one for one in made if one.sample.expressions]


def _collage(
    examples: Sequence[Example], by_label: Mapping[str, Sequence[Marked]], words: Mapping[str, str], rng: np.random.Generator
) -> Collage:
    """Labels are drawn evenly, however rare they are."""
    below = examples[int(rng.integers(len(examples)))]
    size_hw, labels = below.sample.size_hw, sorted(by_label)
    pieces = []
    for _ in range(int(rng.integers(1, MOST_PIECES + 1))):
        among = by_label[labels[int(rng.integers(len(labels)))]]
        marked = among[int(rng.integers(len(among)))]
        pieces.append(Piece(marked, _placing(marked, size_hw, rng)))
    return Collage(_sample(below.sample, pieces, words), below.path, below.digest, pieces=tuple(pieces))


def _placing(marked: Marked, size_hw: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Somewhere inside: turned, scaled, perhaps mirrored."""
    x0, y0, x1, y1 = bounds(coco_rle_to_mask(marked.rle))
    extent, room = np.array([x1 - x0, y1 - y0]), np.array(size_hw[::-1])
    scale = rng.uniform(*SCALES) * min(size_hw) / min(marked.example.sample.size_hw)
    scale = min(scale, *(LARGEST_SHARE * room / np.maximum(extent, 1)))
    angle, mirror = np.deg2rad(rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)), rng.choice([-1.0, 1.0])
    turn = scale * np.array([[np.cos(angle) * mirror, -np.sin(angle)], [np.sin(angle) * mirror, np.cos(angle)]])
    centre = rng.uniform(scale * extent / 2, room - scale * extent / 2)
    return np.column_stack([turn, centre - turn @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])])


def _sample(below: Sample, pieces: Sequence[Piece], words: Mapping[str, str]) -> Sample:
    """What the collage shows of every label, and the expressions that are true of it."""
    covered = np.zeros(below.size_hw, np.bool_)
    shown: list[tuple[str | None, BoolMask]] = []
    doubtful = {target.label for target in below.targets if target.rle is None}

    def see(label: str | None, mask: BoolMask) -> None:
        visible = mask & ~covered
        if np.count_nonzero(visible) >= max(1.0, LEAST_VISIBLE * np.count_nonzero(mask)):
            shown.append((label, visible))
        elif visible.any():
            doubtful.add(label)

    for piece in reversed(pieces):
        mask = piece.mask(below.size_hw)
        see(piece.marked.label, mask)
        covered |= mask
    for target in below.targets:  # these may lie over each other, where one thing has several labels
        if target.rle is not None:
            see(target.label, coco_rle_to_mask(target.rle))
    targets = tuple(Target(number, mask_to_coco_rle(mask), label=label) for number, (label, mask) in enumerate(shown))
    return replace(below, targets=targets, expressions=tuple(_said(below, targets, words, doubtful)))


def _said(below: Sample, targets: Sequence[Target], words: Mapping[str, str], doubtful: set[str | None]) -> Iterator[Expression]:
    """Of every label that was spoken of before, or has been pasted; nothing of one of which only a rest or a box is known."""
    before = {one.text.casefold(): one for one in below.expressions}
    for label, text in words.items():
        ids = tuple(target.id for target in targets if target.label == label)
        if label not in doubtful and (ids or text.casefold() in before):
            yield Expression(text, ids, "label" if ids else "absent")
    marked_somewhere = {text.casefold() for text in words.values()}
    yield from (one for text, one in before.items() if one.kind == "absent" and text not in marked_somewhere)
