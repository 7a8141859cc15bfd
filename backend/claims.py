"""What the engine found for what was asked on one image, which of it each control may show, and the regions that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from backend.label_plan import LabelSpec, OutputControl
from backend.regions import segment_to_regions
from backend.settings import Settings
from models import SAME_OBJECT_IOU, Segment

Region = dict[str, Any]
"""One region as Label Studio stores it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One phrase to look for.

    Args:
        phrase: what the engine is asked.
        control: where the regions go.
        label: under which label.
        prompt: the text to keep in the regions, when a person or the task's data gave it; ``None`` for words of the labeling config.
        in_list: it is the name of a label, to be looked for together with all others of its kind.
    """

    phrase: str
    control: OutputControl
    label: LabelSpec
    prompt: str | None = None
    in_list: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A segment that was found.

    Args:
        ask: what it was found for.
        score: how sure the engine is, 0..1.
        segment: makes its mask, which may wait until it is known that the segment is shown: a hundred masks of a photograph are large.
    """

    ask: Ask
    score: float
    segment: Callable[[], Segment]

    @classmethod
    def of(cls, ask: Ask, segment: Segment) -> Claim:
        """A claim whose mask is there already."""
        return cls(ask, segment.score, lambda: segment)


class Found(NamedTuple):
    """What one image shows."""

    regions: list[Region]
    """Control by control, best first."""
    doubts: list[float]
    """Of each answer that was given, silence included, 0..1; see :func:`models.doubt.answer_doubt`."""


class Best:
    """The best claims of each control on one image. Claims may come in portions: only those that may be shown are kept.

    Args:
        controls: those that regions are looked for, in the order of the regions.
        settings: thresholds and limits of controls without their own.
    """

    def __init__(self, controls: Iterable[OutputControl], settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[OutputControl, list[Claim]] = {control: [] for control in controls}

    def add(self, claims: Iterable[Claim]) -> None:
        """Take claims in and let go of what is unsure, on an object that a better one has, or too many."""
        everything = {control: list(kept) for control, kept in self._kept.items()}
        for claim in claims:
            if claim.score >= self._threshold(claim.ask.control):
                everything[claim.ask.control].append(claim)
        for control, sure in everything.items():
            self._kept[control] = list(islice(_without_doubles(sure), most_regions(control, self._settings)))

    def regions(self, item_index: int | None) -> list[Region]:
        """What was kept, control by control, best first.

        Args:
            item_index: place of the image in the task's list of images.
        """
        regions: list[Region] = []
        for control, claims in self._kept.items():
            shown: list[Region] = []
            for claim in claims:
                shown += segment_to_regions(claim.segment(), control, claim.ask.label.value, prompt=claim.ask.prompt, item_index=item_index)
            regions += shown[: most_regions(control, self._settings)]
        return regions

    def _threshold(self, control: OutputControl) -> float:
        return self._settings.score_threshold if control.score_threshold is None else control.score_threshold


def most_regions(control: OutputControl, settings: Settings) -> int:
    """How many regions a control may show on one image."""
    return settings.max_regions if control.max_regions is None else control.max_regions


def _without_doubles(claims: list[Claim]) -> Iterator[Claim]:
    """Yield the claims, best first, without those on an object that a better one has.

    A prompt of a person or of the task beats words of the labeling config: it was asked for this very image.
    """
    ordered = sorted(claims, key=lambda claim: (claim.ask.prompt is None, -claim.score))
    taken: list[tuple[Segment, int]] = []
    for claim in ordered:
        segment = claim.segment()
        area = segment.area
        if any(_is_same_object(segment, area, other, other_area) for other, other_area in taken):
            continue
        taken.append((segment, area))
        yield Claim.of(claim.ask, segment)


def _is_same_object(one: Segment, one_area: int, other: Segment, other_area: int) -> bool:
    # The overlap cannot exceed the ratio of the areas, and counting pixels of two masks is dear.
    if min(one_area, other_area) <= SAME_OBJECT_IOU * max(one_area, other_area):
        return False
    shared = int(np.count_nonzero(one.mask & other.mask))
    return shared > SAME_OBJECT_IOU * (one_area + other_area - shared)
