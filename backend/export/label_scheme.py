"""Which categories an export has, and which images: read from the labeling config, or from the tasks where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backend.errors import LabelConfigError
from backend.label_config import read_images, read_labels, read_tags, target_image
from backend.label_plan import ImageObject

MASK_KINDS = ("brush", "bitmask", "polygon", "rectangle", "ellipse")
"""Regions that cover pixels, by their type without ``labels``."""

IMAGES_PER_TASK = 1000
"""Where tasks may have several images, image ``n`` of task ``t`` has the id ``t * IMAGES_PER_TASK + n``."""


@dataclass(frozen=True)
class LabelScheme:
    """What the regions of a project mean.

    Args:
        images: all ``<Image>`` tags, in config order.
        categories: their names in config order, those that no region uses too; the first has the id 1.
        unlabelled: the category of regions of a control without labels (``<Brush>``): one of the control's own name.
        other_names: further ways in which regions may name a category (a label's ``value`` where it has an ``alias``).
    """

    images: tuple[ImageObject, ...]
    categories: tuple[str, ...]
    unlabelled: tuple[str, ...] = ()
    other_names: tuple[tuple[str, str], ...] = ()

    @property
    def has_many_images(self) -> bool:
        """Whether a task can have more than one image."""
        return len(self.images) > 1 or any(image.is_list for image in self.images)

    @cached_property
    def category_ids(self) -> dict[str, int]:
        """The category id of every name that a region may carry."""
        ids = {name: number for number, name in enumerate(self.categories, 1)}
        return {other: ids[name] for other, name in self.other_names} | ids

    def with_labels(self, labels: Iterable[str]) -> LabelScheme:
        """With further categories behind its own, sorted, so that their ids do not depend on the order of the tasks."""
        new = sorted(set(labels) - set(self.category_ids))
        return LabelScheme(self.images, self.categories + tuple(new), self.unlabelled, self.other_names)


@dataclass(frozen=True, slots=True)
class ConfigScheme:
    """What a labeling config tells; ``has_task_labels`` when some labels come with the tasks (``value="$labels"``)."""

    scheme: LabelScheme
    has_task_labels: bool


def read_scheme(xml: str) -> ConfigScheme:
    """Read a labeling config.

    Controls that the model leaves alone (``model_skip``) and ellipses, which it does not write, count as well: people use them.

    Raises:
        LabelConfigError: not XML, without an image, or without a control whose regions cover pixels.
    """
    tags = read_tags(xml)
    images = read_images(tags)
    names = {image.name for image in images}
    controls = [tag for tag in tags if target_image(tag[1], names) and _is_control(tag[0])]
    if not any(tag[0].removesuffix("labels") in MASK_KINDS for tag in controls):
        raise LabelConfigError(
            "the labeling config has no control on an Image whose regions cover pixels; expected one of BrushLabels, BitmaskLabels, "
            "PolygonLabels, RectangleLabels, EllipseLabels, or one of these without labels"
        )
    categories: dict[str, None] = {}
    unlabelled: dict[str, None] = {}
    others: dict[str, str] = {}
    for tag in controls:
        labels = read_labels(tag)
        categories |= dict.fromkeys(label.value for label in labels)
        others |= {alias: label.value for label in labels for alias in label.aliases[:1]}
        if not tag[0].endswith("labels"):
            unlabelled[tag[1]["name"]] = None
    own_categories = {} if any(tag[0] == "labels" for tag in controls) else unlabelled
    scheme = LabelScheme(
        images,
        tuple(categories | own_categories),
        tuple(own_categories),
        tuple((other, name) for other, name in others.items() if other not in categories),
    )
    has_task_labels = any(tag[0].endswith("labels") and tag[1].get("value", "").strip().startswith("$") for tag in controls)
    return ConfigScheme(scheme, has_task_labels)


def _is_control(tag: str) -> bool:
    return tag == "labels" or tag.removesuffix("labels") in MASK_KINDS


def labels_of(entry: Mapping[str, Any]) -> list[str]:
    """The labels that an entry of a result carries; none for one that is no labelled region."""
    value, kind = entry.get("value"), entry.get("type")
    found = value.get(kind) if isinstance(value, Mapping) and isinstance(kind, str) else None
    is_label_list = isinstance(kind, str) and kind.endswith("labels") and isinstance(found, list)
    return [label for label in found if isinstance(label, str)] if is_label_list else []  # type: ignore[union-attr]
