"""Interactive segmentation: a typed prompt, clicks or a box of an annotator in, suggested regions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.claims import Ask, Region
from backend.errors import BadRequest, ImageUnavailable
from backend.expressions import MAX_PROMPT_CHARS, asks_of_prompts, find_regions
from backend.gestures import BoxGesture, Click, Gestures, TextGesture, parse_gestures
from backend.images import ImageLoader, LoadedImage
from backend.label_config import ImageObject, LabelPlan, with_task_labels
from backend.regions import segment_to_regions
from backend.settings import Settings
from backend.targets import target_of_label
from backend.tasks import ImageRef, Task, draft_regions, image_refs, task_data, task_id
from models import Engine, Segment


@dataclass(frozen=True, slots=True)
class InteractiveAnswer:
    """What a gesture gave.

    Args:
        regions: suggestions for the editor.
        score: mean score of the regions, 0 for none.
        prompts: label and text of each prompt that found something, to be remembered; of a prompt that names several things under
            several labels each label gets its own.
        problems: what could not be read or found; Label Studio shows nothing of it, so it is logged.
    """

    regions: tuple[Region, ...]
    score: float
    prompts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


def answer_gesture(
    task: Task, result: Sequence[Any], plan: LabelPlan, engine: Engine, images: ImageLoader, settings: Settings
) -> InteractiveAnswer:
    """Turn the gesture in a context's ``result`` into regions.

    A prompt becomes one region per instance, under the label that its words name (for "the dog and the cat" each under its own) and with
    the prompt in ``meta.text``. Clicks on one image become one mask together, with a box if there is one; boxes without clicks become
    one mask each. These go under the label that was clicked, in the best control that has it.

    Raises:
        ImageUnavailable: an image of the gesture cannot be had.
        BadRequest: a prompt is too long, or a gesture is on no image of the labeling config.
    """
    plan = with_task_labels(plan, task_data(task))
    gestures = parse_gestures(result, draft_regions(task))
    regions: list[Region] = []
    prompts: list[tuple[str, str]] = []
    problems = list(gestures.problems)
    for prompt in gestures.prompts:
        found, worked = _answer_prompt(prompt, task, plan, engine, images, settings)
        regions += found
        prompts += worked
        if not found:
            problems.append(f"nothing was found for the prompt {prompt.prompt!r}")
    pointing: list[Click | BoxGesture] = [*gestures.clicks, *gestures.boxes]
    for to_name, index in dict.fromkeys((gesture.to_name, gesture.item_index) for gesture in pointing):
        image = _image_named(plan, to_name)
        uri = _ref_at(task, image, index).uri
        # Loaded in the call: a name for it here would keep the image while the next one is decoded.
        found = _answer_pointing(_on_image(gestures, to_name, index), images.load(uri, task_id=task_id(task)), plan, engine)
        regions += found
        if not found:
            problems.append("the clicks or boxes mark no object")
    return InteractiveAnswer(tuple(regions), _mean_score(regions), tuple(prompts), tuple(problems))


def _answer_prompt(
    gesture: TextGesture, task: Task, plan: LabelPlan, engine: Engine, images: ImageLoader, settings: Settings
) -> tuple[list[Region], list[tuple[str, str]]]:
    """Regions of a typed prompt, and what is to be remembered; all images of a list are searched, since the editor names none."""
    if len(gesture.prompt) > MAX_PROMPT_CHARS:
        raise BadRequest(f"the prompt has {len(gesture.prompt)} characters; the model reads at most {MAX_PROMPT_CHARS}, so shorten it")
    image = _image_named(plan, gesture.to_name)
    asks = asks_of_prompts(plan, image.name, [gesture.prompt])
    if not asks:
        raise BadRequest(f"no control of the labeling config can hold a mask on <Image name={image.name!r}>; add BrushLabels to it")
    refs = image_refs(task, image) if gesture.item_index is None else [_ref_at(task, image, gesture.item_index)]
    regions: list[Region] = []
    for ref in refs:
        regions += find_regions(asks, images.load(ref.uri, task_id=task_id(task)), engine, settings, ref.item_index).regions
    return regions, _worked(gesture.prompt, asks, regions)


def _worked(prompt: str, asks: Sequence[Ask], regions: Sequence[Region]) -> list[tuple[str, str]]:
    """Each label that something was found for, with what of the prompt names it."""
    parts: dict[str, list[str]] = {}
    for ask in asks:
        parts.setdefault(ask.label.value, []).append(ask.phrase)
    found = {label for region in regions for label in region["value"].get(region["type"], [""])}
    return [(label, prompt if len(parts) == 1 else " and ".join(own)) for label, own in parts.items() if label in found]


def _answer_pointing(gestures: Gestures, image: LoadedImage, plan: LabelPlan, engine: Engine) -> list[Region]:
    """Regions of the clicks and boxes on one image."""
    clicks, boxes = gestures.clicks, gestures.boxes
    if clicks:
        pointed = [(_segment_clicks(clicks, boxes, image, engine), _clicked_label(clicks))]
    else:
        pixels = np.array([box.to_pixels(image.size_hw) for box in boxes])
        pointed = [(segment, box.label) for segment, box in zip(engine.segment_from_boxes(image.rgb, pixels), boxes, strict=True)]
    first: Click | BoxGesture = clicks[0] if clicks else boxes[0]
    regions: list[Region] = []
    for segment, label in pointed:
        target = target_of_label(plan, label, first.to_name)
        if segment is not None and target is not None:
            control, spec = target
            regions += segment_to_regions(segment, control, spec.value, prompt=None, item_index=first.item_index)
    return regions


def _segment_clicks(clicks: Sequence[Click], boxes: Sequence[BoxGesture], image: LoadedImage, engine: Engine) -> Segment | None:
    height, width = image.size_hw
    points = np.array([[click.x, click.y] for click in clicks]) * [width, height] / 100
    points = np.clip(points, 0, [width - 1, height - 1])
    is_positive = np.array([click.is_positive for click in clicks])
    if not is_positive.any() and not boxes:
        return None  # clicks that only say what is not meant point at nothing
    box = boxes[-1].to_pixels(image.size_hw) if boxes else None
    return next(iter(engine.segment_from_points(image.rgb, points, is_positive, box)), None)


def _clicked_label(clicks: Sequence[Click]) -> str | None:
    """Label of what the clicks are on: a negative click may carry another label than the object."""
    labels = [click.label for click in sorted(clicks, key=lambda click: not click.is_positive) if click.label]
    return labels[0] if labels else None


def _on_image(gestures: Gestures, to_name: str, index: int | None) -> Gestures:
    clicks = tuple(click for click in gestures.clicks if (click.to_name, click.item_index) == (to_name, index))
    boxes = tuple(box for box in gestures.boxes if (box.to_name, box.item_index) == (to_name, index))
    return Gestures((), clicks, boxes, ())


def _image_named(plan: LabelPlan, name: str) -> ImageObject:
    for image in plan.images:
        if image.name == name:
            return image
    names = ", ".join(image.name for image in plan.images)
    raise BadRequest(f"the gesture is on {name!r}, which is no Image of the labeling config (it has: {names}); reload the page")


def _ref_at(task: Task, image: ImageObject, index: int | None) -> ImageRef:
    """The image of a gesture; the first one of a list where the gesture names none."""
    refs = image_refs(task, image)
    place = 0 if index is None or not image.is_list else index
    if place >= len(refs):
        raise ImageUnavailable(f"the gesture is on image {place} of a list of {len(refs)}; reload the task")
    return refs[place]


def _mean_score(regions: Sequence[Region]) -> float:
    return sum(float(region["score"]) for region in regions) / len(regions) if regions else 0.0
