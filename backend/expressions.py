"""From words to regions on one image: which phrases to ask for, under which label, in which control, and the engine's answers to them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from backend.claims import Ask, Best, Claim, Found
from backend.images import LoadedImage
from backend.label_config import LabelPlan, OutputControl
from backend.label_lists import claims_of_list
from backend.settings import Settings
from backend.targets import asked_targets, target_of_prompt
from models import Engine, Judged, answer_doubt, parts_of, segment_judged

ASKED_AT_ONCE = 64
"""Phrases in one call of the engine. Between calls other requests get their turn, and only the best masks are kept in memory."""

MAX_PROMPT_CHARS = 1000
"""Longer texts are refused: the text encoders read some 77 tokens, so the rest would be dropped without a word."""


def asks_of_labels(
    plan: LabelPlan, image_name: str, remembered: Mapping[str, str], settings: Settings, listed: Container[OutputControl] = ()
) -> list[Ask]:
    """Ask for every label of an image's controls, with the words of the labeling config.

    Args:
        listed: controls whose labels are looked for together; see :func:`backend.label_lists.listed_controls`.
        remembered: a label's last typed prompt, which takes the place of its words where the control (or else the settings) keeps prompts.
    """
    asks: list[Ask] = []
    for control, label in asked_targets(plan, image_name):
        keeps = settings.keep_prompt if control.keep_prompt is None else control.keep_prompt
        prompt = remembered.get(label.value) if keeps else None
        if prompt is not None:
            asks.append(Ask(prompt, control, label, prompt))
        else:
            asks += [Ask(phrase, control, label, in_list=control in listed) for phrase in label.phrases]
    return asks


def asks_of_prompts(plan: LabelPlan, image_name: str, prompts: Sequence[str]) -> list[Ask]:
    """Ask for each prompt once, under the label that its words name; for nothing where no control of the image holds masks.

    A prompt that names several things is asked part by part: "the dog and the cat" is a dog and a cat. A part that names no label
    ("the red car and the blue one") goes where the whole prompt would.
    """
    asks: list[Ask] = []
    for prompt in dict.fromkeys(prompts):
        for part in dict.fromkeys(parts_of(prompt)):
            # Of the labels that are named the first one counts, so the part comes before the whole.
            target = target_of_prompt(plan, prompt if part == prompt else f"{part}, of {prompt}", image_name)
            if target is not None:
                asks.append(Ask(part, *target, prompt))
    return asks


def find_regions(asks: Sequence[Ask], image: LoadedImage, engine: Engine, settings: Settings, item_index: int | None) -> Found:
    """Ask the engine everything at once and turn its answers into regions, control by control.

    Args:
        asks: phrases with their label and control.
        item_index: place of the image in the task's list of images.
    """
    best = Best((ask.control for ask in asks), settings)
    doubts: list[float] = []
    listed = [ask for ask in asks if ask.in_list]
    if listed:
        claims, doubts = claims_of_list(listed, image.rgb, engine)
        best.add(claims)
    single = [ask for ask in asks if not ask.in_list]
    phrases = list(dict.fromkeys(ask.phrase for ask in single))
    for start in range(0, len(phrases), ASKED_AT_ONCE):
        asked = phrases[start : start + ASKED_AT_ONCE]
        answers = dict(zip(asked, segment_judged(engine, image.rgb, asked), strict=True))
        best.add(_claims(single, answers))
        doubts += [answer_doubt(judged.evidence) for judged in answers.values()]
    return Found(best.regions(item_index), doubts)


def _claims(asks: Sequence[Ask], answers: Mapping[str, Judged]) -> Iterator[Claim]:
    for ask in asks:
        if ask.phrase in answers:
            for segment in answers[ask.phrase].segments:
                yield Claim.of(ask, segment)
