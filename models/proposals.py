"""From a list of labels to what is where: the values that cross the border, and the protocol of engines that offer it. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.masks import CocoRle, coco_rle_to_mask
from models.semantic_metrics import LabelMap
from models.types import BoolMask, Box, RgbImage, Segment

MOST_PROPOSALS = 100

Source = Literal["sam", "region"]
"""``sam``: SAM's mask of one or several points. ``region``: the words' own map, where SAM gave nothing usable."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One object, or all of one kind of stuff. The mask is kept as RLE: a hundred of them at the size of a photograph are large.

    Args:
        label: one of those asked for, as it was written.
        label_index: its place in the list.
        score: how sure the engine is, 0..1.
        rle: COCO's compressed RLE of the mask, at the size of the image, never empty.
        box: the smallest one around the mask.
        area: of the mask, in pixels.
        source: where the mask comes from.
        predicted_iou: SAM's own guess of the mask's quality, 0..1; 0 for regions.
        stability: how little the mask depends on SAM's threshold, 0..1; 0 for regions.
        points: x and y in pixels of the image of the points that SAM was asked at.
        members: numbers, in :attr:`ProposalStages.sam_masks`, of the masks that were joined.
        is_stuff: it stands for everything with this label, not for one object.
    """

    label: str
    label_index: int
    score: float
    rle: CocoRle
    box: Box
    area: int
    source: Source
    predicted_iou: float
    stability: float
    points: tuple[tuple[float, float], ...]
    members: tuple[int, ...]
    is_stuff: bool

    def mask(self) -> BoolMask:
        """bool ``[H, W]``, decoded at each call."""
        return coco_rle_to_mask(self.rle)

    def segment(self) -> Segment:
        """What :meth:`models.engine.Engine.segment` would return of it."""
        return Segment(self.label, self.mask(), self.score)


@dataclass(frozen=True, slots=True, eq=False)
class ProposalStages:
    """What happened on the way, at the networks' own (small) resolution, the image filling every array; for figures and debugging."""

    cost_labels: LabelMap
    """int32 ``[h, w]``: the best label by words alone; 0 for none."""
    cost_confidence: npt.NDArray[np.float32]
    """float ``[h, w]``, 0..1: probability of the best label by words alone."""
    points: npt.NDArray[np.float64]
    """float ``[N, 2]``: x and y in pixels of the image."""
    sam_masks: npt.NDArray[np.bool_]
    """bool ``[M, h, w]``: the masks of these points that were kept."""
    joined_masks: npt.NDArray[np.bool_]
    """bool ``[M', h, w]``: after aggregation."""
    seconds: dict[str, float]
    """Stage -> time it took."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """The answer to a list of labels on one image."""

    labels: tuple[str, ...]
    """As they were asked for. Of labels that say the same, only the first is ever found."""
    pixels: LabelMap | None
    """The label map; ``None`` if it was not asked for."""
    proposals: tuple[Proposal, ...]
    """Best first."""
    stages: ProposalStages

    @property
    def label_map(self) -> LabelMap:
        """int32 ``[H, W]``: 0 for nothing, else 1 + place of the label.

        Raises:
            ValueError: it was not asked for.
        """
        if self.pixels is None:
            raise ValueError("no label map was asked for; ask with ProposalOptions(label_map=True)")
        return self.pixels

    def semantic_mask(self, label_index: int) -> BoolMask:
        """bool ``[H, W]``: every pixel with this label."""
        return np.asarray(self.label_map == label_index + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalOptions:
    """What a caller may choose.

    Args:
        min_score: proposals below are left out, 0..1; ``None`` leaves the choice to the engine.
        max_proposals: the best that many are kept.
        stuff: labels of what cannot be counted, such as sky: each gives at most one proposal, of all its pixels.
        label_map: whether the label of every pixel is wanted, too; on a large image it takes longer than all else behind the encoders.

    Raises:
        ValueError: a number is out of range.
    """

    min_score: float | None = None
    max_proposals: int = MOST_PROPOSALS
    stuff: frozenset[str] = field(default_factory=frozenset)
    label_map: bool = True

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0.0 <= self.min_score <= 1.0:
            raise ValueError(f"ProposalOptions.min_score must lie in 0..1, found {self.min_score}")
        if self.max_proposals < 0:
            raise ValueError(f"ProposalOptions.max_proposals must not be negative, found {self.max_proposals}")


EVERYTHING = ProposalOptions()
"""All labels as things, at the engine's own threshold."""


@runtime_checkable
class ProposingEngine(Protocol):
    """An engine that also takes a list of labels. Optional: ask with ``isinstance`` before offering it."""

    @property
    def prefers_lists(self) -> bool:
        """Whether a list is the better question for labels. Not after fine-tuning, which teaches phrases, labels among them."""

    def propose(
        self, image: RgbImage, labels: Sequence[str], *, background: Sequence[str] = (), options: ProposalOptions = EVERYTHING
    ) -> Proposals:
        """Find everything that the labels name.

        Args:
            image: uint8 ``[H, W, 3]`` RGB.
            labels: any number of names; none gives an empty answer, several that say the same count once.
            background: further names that compete for pixels and are not returned.
            options: thresholds and caps.

        Raises:
            ValueError: the image is none, or a name is blank.
        """
