"""From words to regions on one image: which phrases to ask for, under which label, in which control, and what to keep of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from backend.images import LoadedImage
from backend.label_config import LabelPlan, LabelSpec, OutputControl
from backend.regions import segment_to_regions
from backend.settings import Settings
from backend.targets import label_targets, target_of_prompt
from models import Engine, Segment

SAME_OBJECT_IOU = 0.8
"""Two masks of one control that overlap more than this claim one object; the better one stays."""

ASKED_AT_ONCE = 64
"""Phrases in one call of the engine. Between calls other requests get their turn, and only the best masks are kept in memory."""

MAX_PROMPT_CHARS = 1000
"""Longer texts are refused: the text encoders read some 77 tokens, so the rest would be dropped without a word."""

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
    """

    phrase: str
    control: OutputControl
    label: LabelSpec
    prompt: str | None = None


_Claim = tuple[Ask, Segment]
"""A segment that was found, and what it was found for."""


def asks_of_labels(plan: LabelPlan, image_name: str, remembered: Mapping[str, str], settings: Settings) -> list[Ask]:
    """Ask for every label of an image's controls, with the words of the labeling config.

    Args:
        remembered: a label's last typed prompt, which takes the place of its words where the control (or else the settings) keeps prompts.
    """
    asks: list[Ask] = []
    for control, label in label_targets(plan, image_name):
        keeps = settings.keep_prompt if control.keep_prompt is None else control.keep_prompt
        prompt = remembered.get(label.value) if keeps else None
        if prompt is not None:
            asks.append(Ask(prompt, control, label, prompt))
        else:
            asks += [Ask(phrase, control, label) for phrase in label.phrases]
    return asks


def asks_of_prompts(plan: LabelPlan, image_name: str, prompts: Sequence[str]) -> list[Ask]:
    """Ask for each prompt once, under the label that its words name; for nothing where no control of the image holds masks."""
    asks: list[Ask] = []
    for prompt in dict.fromkeys(prompts):
        target = target_of_prompt(plan, prompt, image_name)
        if target is not None:
            asks.append(Ask(prompt, *target, prompt))
    return asks


def find_regions(asks: Sequence[Ask], image: LoadedImage, engine: Engine, settings: Settings, item_index: int | None) -> list[Region]:
    """Ask the engine everything at once and turn its answers into regions, control by control.

    Args:
        asks: phrases with their label and control.
        item_index: place of the image in the task's list of images.
    """
    by_control: dict[OutputControl, list[Ask]] = {}
    for ask in asks:
        by_control.setdefault(ask.control, []).append(ask)
    best: dict[OutputControl, list[_Claim]] = {control: [] for control in by_control}
    phrases = list(dict.fromkeys(ask.phrase for ask in asks))
    for start in range(0, len(phrases), ASKED_AT_ONCE):
        asked = phrases[start : start + ASKED_AT_ONCE]
        answers = dict(zip(asked, engine.segment(image.rgb, asked), strict=True))
        for control, own in by_control.items():
            best[control] = _best_of(best[control] + _claims(own, answers), control, settings)
    regions: list[Region] = []
    for control, claims in best.items():
        kept: list[Region] = []
        for ask, segment in claims:
            kept += segment_to_regions(segment, control, ask.label.value, prompt=ask.prompt, item_index=item_index)
        regions += kept[: _most_regions(control, settings)]
    return regions


def _claims(asks: Sequence[Ask], answers: Mapping[str, Sequence[Segment]]) -> list[_Claim]:
    return [(ask, segment) for ask in asks for segment in answers.get(ask.phrase, ())]


def _best_of(claims: list[_Claim], control: OutputControl, settings: Settings) -> list[_Claim]:
    """The claims that the control may show, best first; each becomes at least one region."""
    threshold = settings.score_threshold if control.score_threshold is None else control.score_threshold
    sure = [claim for claim in claims if claim[1].score >= threshold]
    return list(islice(_without_doubles(sure), _most_regions(control, settings)))


def _most_regions(control: OutputControl, settings: Settings) -> int:
    return settings.max_regions if control.max_regions is None else control.max_regions


def _without_doubles(claims: list[_Claim]) -> Iterator[_Claim]:
    """Yield the claims, best first, without those on an object that a better one has.

    A prompt of a person or of the task beats words of the labeling config: it was asked for this very image.
    """
    ordered = sorted(claims, key=lambda claim: (claim[0].prompt is None, -claim[1].score))
    taken: list[tuple[Segment, int]] = []
    for ask, segment in ordered:
        area = segment.area
        if any(_is_same_object(segment, area, other, other_area) for other, other_area in taken):
            continue
        taken.append((segment, area))
        yield ask, segment


def _is_same_object(one: Segment, one_area: int, other: Segment, other_area: int) -> bool:
    # The overlap cannot exceed the ratio of the areas, and counting pixels of two masks is dear.
    if min(one_area, other_area) <= SAME_OBJECT_IOU * max(one_area, other_area):
        return False
    shared = int(np.count_nonzero(one.mask & other.mask))
    return shared > SAME_OBJECT_IOU * (one_area + other_area - shared)
