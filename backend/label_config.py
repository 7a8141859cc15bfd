"""Read a labeling config (Label Studio's XML) into a :class:`~backend.label_plan.LabelPlan`. Pure: text in, value out.

Which words a label asks the model for, first found wins: its ``prompt``, its ``predicted_values`` (as other ML backends read
them; both may hold several, separated by commas), its ``value`` with identifiers split into words. With ``prompt=""`` the label
is never asked for by itself: it only takes what prompts find. ``hint`` is a text for people: it and ``alias`` only help to
recognise the label in a prompt. ``model_kind`` says whether it is of things that
can be counted (``thing``) or not (``stuff``).

Attributes of a control: ``model`` (``sam-mi`` or ``ssp-sam``), ``model_score_threshold`` (0..1), ``model_max_regions`` (1 or more),
``model_skip`` and ``model_keep_prompt`` (true or false), ``model_prompt_field`` (a field of the task, with or without ``$``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from backend.config_attributes import Tag, read_choice, read_flag, read_number, read_whole_number
from backend.errors import LabelConfigError
from backend.label_plan import (
    MOST_NAMES,
    ImageObject,
    LabelPlan,
    LabelSpec,
    ModelName,
    OutputControl,
    OutputKind,
    PromptControl,
    SmartControl,
    SmartKind,
    match_label,
    split_identifier,
    too_many_names,
)

__all__ = [
    "ImageObject",
    "LabelPlan",
    "LabelSpec",
    "OutputControl",
    "PromptControl",
    "SmartControl",
    "match_label",
    "parse_label_config",
    "with_task_labels",
]

_LONGEST_CONFIG = 1_000_000
_OUTPUT_TAGS: dict[str, tuple[str, OutputKind]] = {
    "brushlabels": ("BrushLabels", "brush"),
    "brush": ("Brush", "brush"),
    "bitmasklabels": ("BitmaskLabels", "bitmask"),
    "bitmask": ("Bitmask", "bitmask"),
    "polygonlabels": ("PolygonLabels", "polygon"),
    "polygon": ("Polygon", "polygon"),
    "rectanglelabels": ("RectangleLabels", "rectangle"),
    "rectangle": ("Rectangle", "rectangle"),
}
_SMART_KINDS: dict[str, SmartKind] = {
    "keypointlabels": "keypoint",
    "keypoint": "keypoint",
    "rectanglelabels": "rectangle",
    "rectangle": "rectangle",
}
_MODELS: dict[str, ModelName] = {"sam-mi": "sam-mi", "ssp-sam": "ssp-sam"}
_KINDS = {"thing": False, "stuff": True}
_NOT_WRITTEN = {"ellipselabels": "EllipseLabels", "ellipse": "Ellipse", "vectorlabels": "VectorLabels", "vector": "Vector"}
_ADVICE = 'add <BrushLabels name="mask" toName="IMAGE"> with labels, or start from one of the files in annotation_configs/'


def parse_label_config(xml: str) -> LabelPlan:
    """Read a labeling config. Results are cached by the text of the config.

    Raises:
        LabelConfigError: not XML, too large, with a DTD or entities, without an image or without a control that can hold masks,
            or with an attribute that cannot be used.
    """
    if not isinstance(xml, str):
        raise LabelConfigError(f"the labeling config must be a text, found {type(xml).__name__}; send the project's XML")
    if len(xml) > _LONGEST_CONFIG:
        raise LabelConfigError(
            f"the labeling config has {len(xml)} characters, at most {_LONGEST_CONFIG} are read; "
            'give long label lists in the task instead: value="$labels"'
        )
    return _parse(xml)


@lru_cache(maxsize=16)
def _parse(xml: str) -> LabelPlan:
    tags = read_tags(xml)
    images = read_images(tags)
    names = {image.name for image in images}
    on_image = [tag for tag in tags if target_image(tag[1], names)]
    used = [tag for tag in on_image if not read_flag(tag, "model_skip")]
    outputs = tuple(_output_control(tag, names) for tag in used if tag[0] in _OUTPUT_TAGS)
    if not outputs:
        _refuse_without_output(tags, on_image, names)
    smart = [tag for tag in used if tag[0] in _SMART_KINDS and read_flag(tag, "smart")]
    return LabelPlan(
        images=images,
        outputs=outputs,
        smart_controls=tuple(
            SmartControl(tag[1]["name"], _SMART_KINDS[tag[0]], target_image(tag[1], names), read_labels(tag)) for tag in smart
        ),
        prompt_controls=tuple(
            PromptControl(tag[1]["name"], target_image(tag[1], names))
            for tag in used
            if tag[0] == "textarea" and not read_flag(tag, "perregion")
        ),
        prompt_field=_read_prompt_field(tags),
        notes=tuple(_notes(on_image)),
    )


def with_task_labels(plan: LabelPlan, task_data: Mapping[str, Any]) -> LabelPlan:
    """The plan for one task: controls with ``value="$field"`` get the labels that the task lists in that field.

    Raises:
        LabelConfigError: the field is missing or holds no list of labels.
    """
    if all(control.labels_field is None for control in plan.outputs):
        return plan
    return dataclasses.replace(plan, outputs=tuple(_with_labels(control, task_data) for control in plan.outputs))


def _with_labels(control: OutputControl, task_data: Mapping[str, Any]) -> OutputControl:
    if control.labels_field is None:
        return control
    items = task_data.get(control.labels_field)
    if isinstance(items, list) and len(items) > MOST_NAMES:
        raise too_many_names(len(items))
    attributes = [_label_attributes(item) for item in items] if isinstance(items, list) else []
    labels = tuple(_label_spec(item) for item in attributes if item.get("value", "").strip())
    if not isinstance(items, list) or len(labels) != len(items):
        raise LabelConfigError(
            f"{control.tag} {control.name!r} takes its labels from the task field {control.labels_field!r}, which holds "
            f'{"no list" if not isinstance(items, list) else "an item without a value"}; expected [{{"value": "Dog"}}, ...]'
        )
    return dataclasses.replace(control, labels=control.labels + labels)


def _label_attributes(item: Any) -> dict[str, str]:
    if isinstance(item, str):
        return {"value": item}
    return {str(key).lower(): value for key, value in item.items() if isinstance(value, str)} if isinstance(item, dict) else {}


def read_tags(xml: str) -> list[Tag]:
    """All elements in document order.

    Raises:
        LabelConfigError: not XML, or with a DTD or entities.
    """
    try:
        root = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException as error:
        raise LabelConfigError(
            "the labeling config has a document type or entities, which are not read; remove the <!DOCTYPE ...> part"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise LabelConfigError(f"the labeling config is not XML ({error}); expected <View>...</View>, as in Label Studio") from error
    elements = (element for element in root.iter() if isinstance(element.tag, str))
    return [(e.tag.lower(), {key.lower(): value for key, value in e.attrib.items()}, e) for e in elements]


def read_images(tags: list[Tag]) -> tuple[ImageObject, ...]:
    """The images, at least one. Raises ``LabelConfigError`` when there is none or one names no field of the task."""
    images = []
    for tag, attributes, _ in tags:
        if tag != "image":
            continue
        name, is_list = attributes.get("name", "").strip(), "valuelist" in attributes
        key = attributes.get("valuelist" if is_list else "value", "").strip()
        if not name or not key.startswith("$") or not key[1:]:
            raise LabelConfigError(
                f"an Image of the labeling config has name {name!r} and value {key!r}; expected a name and the task field that "
                'holds the image\'s address, as in <Image name="image" value="$image"/>'
            )
        images.append(ImageObject(name, key[1:], is_list))
    if not images:
        found = sorted({element.tag for _, _, element in tags})[:10]
        raise LabelConfigError(
            f"the labeling config has no Image (found: {', '.join(found)[:200]}); "
            'add <Image name="image" value="$image"/> with the task field of your images'
        )
    return tuple(images)


def _output_control(tag: Tag, image_names: set[str]) -> OutputControl:
    name, kind = _OUTPUT_TAGS[tag[0]]
    attributes = tag[1]
    field = attributes.get("value", "").strip()
    return OutputControl(
        name=attributes["name"],
        kind=kind,
        to_name=target_image(attributes, image_names),
        labels=read_labels(tag),
        tag=name,
        smart=read_flag(tag, "smart"),
        score_threshold=read_number(tag, "model_score_threshold", 0.0, 1.0),
        max_regions=read_whole_number(tag, "model_max_regions"),
        keep_prompt=read_flag(tag, "model_keep_prompt") if "model_keep_prompt" in attributes else None,
        model=read_choice(name, attributes, "model", _MODELS),
        labels_field=field[1:] if name.endswith("Labels") and field.startswith("$") and field[1:] else None,
    )


def target_image(attributes: Mapping[str, str], image_names: set[str]) -> str:
    """The image that a named control belongs to; empty when it belongs to none."""
    if not attributes.get("name"):
        return ""
    return next((name for name in (part.strip() for part in attributes.get("toname", "").split(",")) if name in image_names), "")


def read_labels(tag: Tag) -> tuple[LabelSpec, ...]:
    """The labels of a control, in order; of two with one value the first."""
    found = ({key.lower(): value for key, value in e.attrib.items()} for e in tag[2].iter() if _is_label(e))
    labels: dict[str, LabelSpec] = {}
    for attributes in found:
        if attributes.get("value", "").strip():
            label = _label_spec(attributes)
            labels.setdefault(label.value, label)
    return tuple(labels.values())


def _is_label(element: Element) -> bool:
    return isinstance(element.tag, str) and element.tag.lower() == "label"


def _label_spec(attributes: Mapping[str, str]) -> LabelSpec:
    written = attributes["value"].strip()
    alias, hint = attributes.get("alias", "").strip(), attributes.get("hint", "").strip()
    if "prompt" in attributes:
        phrases = _split(attributes["prompt"])
    else:
        phrases = _split(attributes.get("predicted_values", "")) or (split_identifier(written) or written,)
    value = alias or written
    names = (name for name in (written, hint) if name and name != value)
    return LabelSpec(
        value,
        phrases,
        tuple(dict.fromkeys(names)),
        is_expression="prompt" in attributes and bool(phrases),
        is_stuff=read_choice("Label", attributes, "model_kind", _KINDS) or False,
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _read_prompt_field(tags: list[Tag]) -> str | None:
    fields = (attributes.get("model_prompt_field", "").strip().lstrip("$") for _, attributes, _ in tags)
    return next((field for field in fields if field), None)


def _notes(on_image: Iterable[Tag]) -> Iterable[str]:
    for tag in on_image:
        name = tag[1]["name"]
        if read_flag(tag, "model_skip"):
            yield f"{tag[2].tag} {name!r} is left alone: it says model_skip"
        elif tag[0] in _NOT_WRITTEN:
            yield f"{_NOT_WRITTEN[tag[0]]} {name!r} gets no regions: masks are written as brush, bitmask, polygon or rectangle"


def _refuse_without_output(tags: list[Tag], on_image: list[Tag], names: set[str]) -> None:
    lost = [tag for tag in tags if tag[0] in _OUTPUT_TAGS and not target_image(tag[1], names)]
    skipped = [tag for tag in on_image if tag[0] in _OUTPUT_TAGS]
    if skipped:
        reason = f"every control that can hold masks says model_skip ({skipped[0][2].tag} {skipped[0][1]['name']!r})"
    elif lost:
        tag, attributes, _ = lost[0]
        reason = (
            f"{_OUTPUT_TAGS[tag][0]} {attributes.get('name', '')!r} has toName={attributes.get('toname', '')!r}, "
            f"which is no Image (images: {', '.join(sorted(names))})"
        )
    else:
        found = ", ".join(f"{tag[2].tag} {tag[1]['name']!r}" for tag in on_image[:10]) or "no control at all"
        reason = f"the labeling config has no control that can hold masks on an Image (found: {found})"
    raise LabelConfigError(f"{reason}; {_ADVICE}")
