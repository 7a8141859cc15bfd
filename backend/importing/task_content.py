"""A sample as a task of Label Studio: its targets as regions, its expressions as prompts. Pure: no files, no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import LabelConfigError
from backend.findings import Finding, Place, place
from backend.label_config import with_task_labels
from backend.label_plan import ImageObject, LabelPlan, OutputControl
from backend.regions import ID_PREFIX, segment_to_regions
from models import Sample, Segment, Target

KEY_FIELD = "wordmask_import"
"""Field of an imported task that tells which image of which source it came from, so that nothing comes in twice."""

_TRUEST_FIRST = ("brush", "bitmask", "polygon", "rectangle")
_EXACT = ("brush", "bitmask")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a target goes: a control and, if the control has labels, one of them."""

    control: OutputControl
    label: str


class TaskContent:
    """Turns samples into tasks of one project.

    Args:
        plan: of the project's labeling config.
        categories: names of the source's categories, for configs that take their labels from the task.
        prompt_field: field of the task that gets the expressions.
        tell: told of targets that the project cannot hold, or not exactly.

    Raises:
        LabelConfigError: no control holds masks of a single image.
    """

    def __init__(self, plan: LabelPlan, categories: Sequence[str], prompt_field: str, tell: Callable[[Finding], None]) -> None:
        self._label_fields = {control.labels_field: list(categories) for control in plan.outputs if control.labels_field}
        self._controls = sorted(with_task_labels(plan, self._label_fields).outputs, key=lambda control: _TRUEST_FIRST.index(control.kind))
        self.image: ImageObject = plan.image(self._controls[0].to_name)
        self._controls = [control for control in self._controls if control.to_name == self.image.name]
        if self.image.is_list:
            raise LabelConfigError(f"<Image name={self.image.name!r}> shows a list of images; an import needs a single one")
        self._prompt_field = plan.prompt_field or prompt_field
        self._tell = tell

    def data(self, sample: Sample, key: str, address: str) -> dict[str, Any]:
        """Data of the task.

        Args:
            sample: what is imported.
            key: tells it from everything else that is imported.
            address: of its image.
        """
        texts = list(dict.fromkeys(expression.text for expression in sample.expressions))
        prompts = {self._prompt_field: texts} if texts else {}
        splits = {sample.split, *(expression.split for expression in sample.expressions)} - {None}
        split = {"split": ", ".join(sorted(map(str, splits)))} if splits else {}
        return {**self._label_fields, **prompts, **split, KEY_FIELD: key, self.image.data_key: address}

    def regions(self, sample: Sample) -> list[dict[str, Any]]:
        """Regions of all targets that the project can hold; the others are told.

        Ids are made of the targets' ids, so that the same sample gives the same regions. The words that refer to a target stand in its
        ``meta.text``.
        """
        texts: dict[int, list[str]] = {}
        for expression in sample.expressions:
            for target_id in expression.target_ids:
                texts.setdefault(target_id, []).append(expression.text)
        found: list[dict[str, Any]] = []
        for target in sample.targets:
            where = place(image=sample.image, annotation=target.id)
            regions = self._regions_of(sample, target, where)
            for number, region in enumerate(regions):
                region["id"] = f"{ID_PREFIX}{target.id}" + (f"-{number}" if number else "")
                if target.id in texts:
                    region["meta"] = {"text": list(dict.fromkeys(texts[target.id]))}
            found += regions
        return found

    def _regions_of(self, sample: Sample, target: Target, where: Place) -> list[dict[str, Any]]:
        chosen = self._place_of(target, where)
        if chosen is None:
            return []
        if target.rle is None:
            return [_box_region(target, chosen, sample.size_hw)]
        mask = sample.mask_of([target.id])
        if not mask.any():
            self._tell(Finding("error", "empty-mask", where, "the mask covers no pixel, a region must cover one", "left out"))
            return []
        if chosen.control.kind not in _EXACT:
            what = f"{chosen.control.tag} holds outlines only"
            action = "simplified, and its holes are filled; add BrushLabels or BitmaskLabels for exact masks"
            self._tell(Finding("warning", "outline", where, what, action))
        if target.iscrowd:
            self._tell(Finding("note", "crowd", where, "it is a crowd, which no region can say", "comes in as an ordinary region"))
        regions = segment_to_regions(Segment("", mask, 1.0), chosen.control, chosen.label, prompt=None)
        for region in regions:
            del region["score"]  # a mask of a data set is no guess
        return regions

    def _place_of(self, target: Target, where: Place) -> _Place | None:
        wanted = [control for control in self._controls if (control.kind == "rectangle") == (target.rle is None)]
        for control in wanted:
            if control.tag.lower() == control.kind:
                return _Place(control, "")
            spec = control.find_label(target.label) if target.label else control.labels[0] if len(control.labels) == 1 else None
            if spec is not None:
                return _Place(control, spec.value)
        if not wanted:
            what = "only a box is known, and the labeling config has no RectangleLabels" if target.rle is None else "no control holds masks"
            self._tell(Finding("error", "no-control", where, what, "left out"))
        else:
            labels = sorted({label.value for control in wanted for label in control.labels})
            what = f"its label {target.label!r:.100} is not in the labeling config (labels: {', '.join(labels)[:200]})"
            self._tell(Finding("error", "unknown-label", where, what, "left out; add the label to the project"))
        return None


def _box_region(target: Target, chosen: _Place, size_hw: tuple[int, int]) -> dict[str, Any]:
    assert target.box is not None
    height, width = size_hw
    x0, y0, x1, y1 = target.box
    corner = {"x": 100 * x0 / width, "y": 100 * y0 / height}
    value = {**corner, "width": 100 * (x1 - x0) / width, "height": 100 * (y1 - y0) / height, "rotation": 0}
    kind = chosen.control.tag.lower()
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    labels = {kind: [chosen.label]} if chosen.label else {}
    return {"from_name": chosen.control.name, "to_name": chosen.control.to_name, "type": kind, **size, "value": {**value, **labels}}
