"""What a labeling config asks for, as values: the images, the controls that hold masks, the tools and boxes that ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from backend.errors import LabelConfigError

MOST_CONTROLS = 200
"""Images and controls for masks of one labeling config."""

MOST_NAMES = 3000
"""Labels of one labeling config, each of their words counted; every one is asked for, on every image."""

LONGEST_NAME = 1000

OutputKind = Literal["brush", "bitmask", "polygon", "rectangle"]
SmartKind = Literal["keypoint", "rectangle"]

ModelName = Literal["sam-mi", "ssp-sam"]
"""``sam-mi``: all labels together, which compete for the pixels of an image. ``ssp-sam``: each phrase on its own."""


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """One label of a control.

    Args:
        value: what a region carries; the alias where the label has one, as the editor writes it.
        phrases: what to ask the model for, each on its own; none for a label that only takes what prompts find.
        aliases: further names under which people may mean the label; never sent to the model.
        is_expression: the phrases were written as a prompt; they may be more than names.
        is_stuff: it cannot be counted, as sky cannot; a list of labels finds all of it as one region.
    """

    value: str
    phrases: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    is_expression: bool = False
    is_stuff: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every way of naming the label."""
        return (self.value, *self.phrases, *self.aliases)


@dataclass(frozen=True, slots=True)
class OutputControl:
    """A control whose regions hold masks.

    Args:
        name: the control's name, ``from_name`` of its regions.
        kind: the shape of its regions.
        to_name: name of the image that it labels.
        labels: in config order; empty for tags without labels (``<Brush>``) and until a task gives them (``labels_field``).
        tag: the XML tag as Label Studio spells it; its lower case is the ``type`` of the regions.
        smart: a smart tool too: what is drawn with it asks for a mask.
        score_threshold: least score of a region, 0..1; ``None``: as the settings say.
        max_regions: most regions on one image; ``None``: as the settings say.
        keep_prompt: whether a label's last typed prompt pre-annotates the next task; ``None``: as the settings say.
        model: what looks for its labels; ``None``: as :meth:`LabelPlan.model_of` says.
        labels_field: field of the task that holds the labels, where the config does not.
    """

    name: str
    kind: OutputKind
    to_name: str
    labels: tuple[LabelSpec, ...]
    tag: str
    smart: bool = False
    score_threshold: float | None = None
    max_regions: int | None = None
    keep_prompt: bool | None = None
    model: ModelName | None = None
    labels_field: str | None = None

    def __hash__(self) -> int:
        # Not of the labels: there may be thousands, and each of them looks its control up.
        return hash((self.name, self.to_name, self.tag))

    def find_label(self, name: str) -> LabelSpec | None:
        """The label that carries exactly this name, upper and lower case alike; ``None`` when there is none."""
        wanted = name.strip().casefold()
        return next((label for label in self.labels if wanted in (known.casefold() for known in label.names)), None)


@dataclass(frozen=True, slots=True)
class SmartControl:
    """A tool whose clicks or boxes ask for a mask."""

    name: str
    kind: SmartKind
    to_name: str
    labels: tuple[LabelSpec, ...]


@dataclass(frozen=True, slots=True)
class PromptControl:
    """A text box for the image; what is submitted there asks for masks."""

    name: str
    to_name: str


@dataclass(frozen=True, slots=True)
class ImageObject:
    """An image of the task: ``data_key`` is the task field that holds its URL, or a list of them."""

    name: str
    data_key: str
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """A labeling config, read once and used for every task.

    Args:
        images: all images, in config order.
        outputs: all controls that may receive regions, in config order; at least one.
        smart_controls: tools whose gestures ask for a mask.
        prompt_controls: text boxes whose text asks for masks.
        prompt_field: field of the task whose text is one more prompt; ``None``: as the settings say.
        notes: what the config holds that is not used, each with the reason, for people.

    Raises:
        LabelConfigError: there is more of something than can be asked for in time.
    """

    images: tuple[ImageObject, ...]
    outputs: tuple[OutputControl, ...]
    smart_controls: tuple[SmartControl, ...] = ()
    prompt_controls: tuple[PromptControl, ...] = ()
    prompt_field: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        controls = len(self.images) + len(self.outputs)
        if controls > MOST_CONTROLS:
            raise LabelConfigError(f"the labeling config has {controls} images and controls for masks, at most {MOST_CONTROLS} are read")
        names = [name for control in self.outputs for label in control.labels for name in set(label.names)]
        if len(names) > MOST_NAMES:
            raise too_many_names(len(names))
        longest = max(map(len, names), default=0)
        if longest > LONGEST_NAME:
            raise LabelConfigError(f"a label or one of its words has {longest} characters, at most {LONGEST_NAME} are read; shorten it")

    def model_of(self, control: OutputControl, *, in_words: bool = False) -> ModelName:
        """What looks for the labels of a control: what it says itself; else ``sam-mi`` where there is nothing but labels, and ``ssp-sam``
        where somebody works with expressions, be it in a text box, in a task or as the prompt of a label.

        Args:
            control: one of the outputs.
            in_words: there are expressions beside the config: the task brings prompts, or the model has learned phrases.
        """
        if control.model is not None:
            return control.model
        labels = (label for output in self.outputs for label in output.labels)
        has_expressions = in_words or self.prompt_controls or self.prompt_field or any(label.is_expression for label in labels)
        return "ssp-sam" if has_expressions else "sam-mi"

    def image(self, name: str) -> ImageObject:
        """The image of that name. Raises ``KeyError`` when there is none; every control's ``to_name`` has one."""
        for image in self.images:
            if image.name == name:
                return image
        raise KeyError(name)


def too_many_names(found: int) -> LabelConfigError:
    """What to say of more labels than can be asked for."""
    return LabelConfigError(
        f"the labeling config has {found} labels and words for them, at most {MOST_NAMES} are read; keep those that the images may hold"
    )


def match_label(prompt: str, control: OutputControl) -> LabelSpec | None:
    """The label that the words of a prompt name; Label Studio does not tell which one is selected.

    A label is named by its value, phrases or aliases as whole words, in singular or plural. Of several the one that is named
    first is taken ("the dog beside the car" is a dog), of those the longest. No label named: the first one.

    Returns:
        ``None`` only for a control without labels.
    """
    names, places = _names_pattern(control)
    match = names.search(split_identifier(prompt).casefold())
    if match and match.lastindex:
        return control.labels[places[match.lastindex - 1]]
    return _label_inside(prompt, control) or (control.labels[0] if control.labels else None)


@lru_cache(maxsize=16)
def _names_pattern(control: OutputControl) -> tuple[re.Pattern[str], list[int]]:
    """A pattern with one group per name, longer names first, and the place in ``control.labels`` that each group stands for."""
    found = [(words, place) for place, label in enumerate(control.labels) for name in label.names if (words := _words(name))]
    named = sorted(dict.fromkeys(found), key=lambda item: -len(item[0]))
    groups = (r"[\W_]+".join(map(_any_number, words)) for words, _ in named)
    pattern = "|".join(f"({group})" for group in groups) or "(?!)"
    return re.compile(rf"(?<![^\W_])(?:{pattern})(?![^\W_])"), [place for _, place in named]


def _any_number(word: str) -> str:
    """A pattern for a word in singular and plural, as far as English spelling shows it."""
    forms = {word, word + "s", word + "es"}
    if word.endswith("y"):
        forms.add(word[:-1] + "ies")
    if len(word) > 3:
        forms |= {word.removesuffix("s"), word.removesuffix("es"), word[:-3] + "y" if word.endswith("ies") else word}
    return f"(?:{'|'.join(map(re.escape, sorted(forms)))})"


def _words(text: str) -> tuple[str, ...]:
    """Lower-case words of a text."""
    return tuple(re.findall(r"[^\W_]+", split_identifier(text).casefold()))


def _label_inside(prompt: str, control: OutputControl) -> LabelSpec | None:
    """The label one of whose names stands inside the prompt, for scripts that put no spaces between words."""
    text = prompt.casefold()
    spelled = ((label, name.strip().casefold()) for label in control.labels for name in label.names)
    return next((label for label, name in spelled if name and not name.isascii() and name in text), None)


def split_identifier(name: str) -> str:
    """Words instead of a programmer's spelling: ``traffic_light``, ``traffic-light`` and ``TrafficLight`` all have two."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace("_", " "))
    return " ".join(re.sub(r"(?<=\w\w)-(?=\w\w)", " ", spaced).split())
