"""Runs an engine over images with known answers and scores its masks: from words, from clicks and from boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from models.answer import ScoredEngine
from models.engine import Engine
from models.metrics import MaskScorer, MaskScores, Overlap, ReferringMetrics, ReferringScores
from models.types import BoolMask, RgbImage, Segment


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A phrase with what it refers to."""

    text: str
    kind: str
    """Row of the result table, for example ``spatial``."""
    mask: BoolMask
    """bool ``[H, W]``, the union of all objects referred to; empty when the phrase refers to nothing."""
    labels: tuple[str, ...] = ()
    """What the objects referred to are called, each name once; empty where that is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image with its right answers."""

    name: str
    """Tells the image from the others of its split; also seeds the clicks on its objects."""
    image: RgbImage
    expressions: tuple[Expression, ...]
    objects: tuple[BoolMask, ...] = ()
    """Masks bool ``[H, W]`` of single objects, none empty, to click at and to draw boxes around."""


def evaluate_referring(engine: Engine, samples: Iterable[Sample]) -> dict[str, ReferringScores]:
    """Score the masks that the engine finds for words; rows as in :meth:`models.metrics.ReferringMetrics.table`."""
    metrics = ReferringMetrics()
    for sample in samples:
        add_answers(metrics, sample, ask_expressions(engine, sample))
    return metrics.table()


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What an engine answered to one expression."""

    segments: Sequence[Segment]
    mask: BoolMask
    """bool ``[H, W]``, the union of the segments; empty when there is none."""
    ungated: BoolMask | None
    """The mask before the engine decides whether anything is there; ``None`` if it offers none."""
    presence: float | None
    """How sure the engine is that something is there, 0..1; ``None`` if it does not say."""


def ask_expressions(engine: Engine, sample: Sample) -> list[Asked]:
    """Ask for all expressions of one image at once."""
    phrases = [expression.text for expression in sample.expressions]
    if not phrases:
        return []
    size_hw = sample.image.shape[:2]
    if isinstance(engine, ScoredEngine):
        answers = engine.segment_scored(sample.image, phrases)
        return [Asked(one.segments, union_of(one.segments, size_hw), one.mask, one.presence) for one in answers]
    return [Asked(found, union_of(found, size_hw), None, None) for found in engine.segment(sample.image, phrases)]


def add_answers(metrics: ReferringMetrics, sample: Sample, answers: Sequence[Asked]) -> None:
    """Take the answers to the expressions of one image in; the prediction is the union of all segments."""
    for expression, asked in zip(sample.expressions, answers, strict=True):
        metrics.add(asked.mask, expression.mask, expression.kind, ungated=asked.ungated, group=sample.name)


def union_of(segments: Iterable[Segment], size_hw: tuple[int, ...]) -> BoolMask:
    """All that some segments cover, bool ``[H, W]``."""
    union = np.zeros(size_hw, np.bool_)
    for segment in segments:
        union |= segment.mask
    return union


@dataclass(frozen=True, slots=True)
class PromptScores:
    """Masks from one click or one box per object."""

    point: MaskScores
    """A click at a random inner pixel, as a person would; the figure that is quoted."""
    centre_point: MaskScores
    """A click at the pixel farthest from the object's border."""
    box: MaskScores
    """The smallest box around the object's visible part."""


@dataclass(slots=True)
class PromptMetrics:
    """Collects the masks from clicks and boxes of one image after the other."""

    point: MaskScorer = field(default_factory=MaskScorer)
    centre_point: MaskScorer = field(default_factory=MaskScorer)
    box: MaskScorer = field(default_factory=MaskScorer)

    def scores(self) -> PromptScores | None:
        """The figures, or ``None`` when no object was seen."""
        point, centre_point, box = self.point.scores(), self.centre_point.scores(), self.box.scores()
        if point is None or centre_point is None or box is None:
            return None
        return PromptScores(point, centre_point, box)


def evaluate_prompts(engine: Engine, samples: Iterable[Sample], *, seed: int = 0) -> PromptScores | None:
    """Score the masks that the engine finds for clicks and boxes on every object; ``None`` when there is no object."""
    metrics = PromptMetrics()
    for sample in samples:
        add_prompts(metrics, engine, sample, seed=seed)
    return metrics.scores()


def add_prompts(metrics: PromptMetrics, engine: Engine, sample: Sample, *, seed: int = 0) -> None:
    """Click at and draw a box around each object of one image and take the masks in."""
    if not sample.objects:
        return
    rng = np.random.default_rng([seed, *sample.name.encode()])
    boxes = np.array([Segment("", mask, 1.0).box for mask in sample.objects])
    for mask, segment in zip(sample.objects, engine.segment_from_boxes(sample.image, boxes), strict=True):
        found = [] if segment is None else [segment]
        metrics.box.add(Overlap.between(union_of(found, mask.shape), mask), sample.name)
        for scorer, point in ((metrics.point, random_inner_point(mask, rng)), (metrics.centre_point, centre_point(mask))):
            clicked = engine.segment_from_points(sample.image, point[np.newaxis], np.array([True]))
            scorer.add(Overlap.between(union_of(clicked, mask.shape), mask), sample.name)


def random_inner_point(mask: BoolMask, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The centre ``[x, y]`` of a pixel drawn evenly from those of the mask that do not touch its border (from all, if all do)."""
    inner = _distance_to_border(mask) > 1
    rows, columns = np.nonzero(inner if inner.any() else mask)
    chosen = rng.integers(rows.size)
    return np.array([columns[chosen] + 0.5, rows[chosen] + 0.5])


def centre_point(mask: BoolMask) -> npt.NDArray[np.float64]:
    """The centre ``[x, y]`` of the pixel that lies deepest inside the mask, the first in reading order of several."""
    row, column = np.unravel_index(int(_distance_to_border(mask).argmax()), mask.shape)
    return np.array([column + 0.5, row + 0.5])


def _distance_to_border(mask: BoolMask) -> npt.NDArray[np.float32]:
    """Distance of each pixel of the mask to the next pixel outside; the outside of the image counts as outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance[1:-1, 1:-1], np.float32)
