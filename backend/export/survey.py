"""What the tasks themselves tell where no labeling config does: their labels, and which of their fields hold images.

An export file of Label Studio does not hold the labeling config. One look over all tasks then takes its place; categories are sorted by
name, so that they do not depend on the order of the tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.errors import BadRequest
from backend.export.label_scheme import MASK_KINDS, LabelScheme, labels_of
from backend.findings import Finding
from backend.label_plan import MOST_NAMES, ImageObject
from backend.tasks import Task, task_data

_ADVICE = "give the project's labeling config with --label-config FILE"


@dataclass(slots=True)
class Survey:
    """Collects what regions and tasks tell."""

    labels: set[str] = field(default_factory=set)
    image_names: set[str] = field(default_factory=set)
    unlabelled: set[str] = field(default_factory=set)
    fields: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def look(self, task: Task) -> None:
        """Take in one task.

        Raises:
            BadRequest: there are more labels than any labeling config may have.
        """
        self.fields.update((key, isinstance(value, list)) for key, value in task_data(task).items() if _may_be_image(value))
        for entry in _entries(task):
            kind = str(entry.get("type", ""))
            if kind != "labels" and kind.removesuffix("labels") not in MASK_KINDS:
                continue
            self.labels.update(labels_of(entry))
            if isinstance(entry.get("to_name"), str):
                self.image_names.add(entry["to_name"])
            if kind in MASK_KINDS and isinstance(entry.get("from_name"), str):
                self.unlabelled.add(entry["from_name"])
        if len(self.labels) > MOST_NAMES:
            raise BadRequest(f"the tasks carry more than {MOST_NAMES} labels; {_ADVICE}")

    def scheme(self) -> LabelScheme:
        """What was found, as a labeling config would have told it.

        Raises:
            BadRequest: which field of the tasks holds the image cannot be told.
        """
        images = tuple(self._image(name) for name in sorted(self.image_names) or ["image"])
        own = tuple(sorted(self.unlabelled - self.labels)) if not self.labels else ()
        return LabelScheme(images, tuple(sorted(self.labels)) + own, own)

    def _image(self, name: str) -> ImageObject:
        """The field of an image: the one of its name, else ``image``, else the only one that holds addresses."""
        keys = list(dict.fromkeys(key for key, _ in sorted(self.fields)))
        chosen = next((key for key in (name, "image", "images") if key in keys), None)
        if chosen is None and len(keys) == 1:
            chosen = keys[0]
        if chosen is None:
            found = ", ".join(keys)[:200] or "none"
            raise BadRequest(
                f"which field of the tasks holds the image {name!r:.60} cannot be told (fields with addresses: {found}); {_ADVICE}"
            )
        return ImageObject(name, chosen, self.fields[chosen, True] > self.fields[chosen, False])


def survey_tasks(tasks: Iterable[Task | Finding]) -> Survey:
    """Look at every task, and past what is none."""
    survey = Survey()
    for task in tasks:
        if not isinstance(task, Finding):
            survey.look(task)
    return survey


def _entries(task: Task) -> Iterator[Mapping[str, Any]]:
    for key in ("annotations", "predictions"):
        found = task.get(key)
        for item in found if isinstance(found, list) else []:
            result = item.get("result") if isinstance(item, Mapping) else None
            yield from (entry for entry in (result if isinstance(result, list) else []) if isinstance(entry, Mapping))


def _may_be_image(value: Any) -> bool:
    """Whether a field's value may be an image's address, or a list of them; texts with spaces are prose."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, str) and _may_be_image(item) for item in value)
    return isinstance(value, str) and ("/" in value or "." in value) and " " not in value.strip()[:200]
