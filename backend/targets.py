"""Which control gets the regions of a label or a prompt, when a labeling config has several."""

from __future__ import annotations

import dataclasses

from backend.label_config import LabelPlan, LabelSpec, OutputControl, match_label

Target = tuple[OutputControl, LabelSpec]
"""A control and one of its labels; the label of a control without labels is empty."""

_ORDER = ("brush", "bitmask", "polygon", "rectangle")
"""The truest shape first: a mask, then an outline without holes, then a box."""

_NO_LABEL = LabelSpec("", ())


def label_targets(plan: LabelPlan, image_name: str) -> list[Target]:
    """Every label of an image's controls, once: in the control of the truest shape that has it.

    A label that stands in BrushLabels and RectangleLabels alike would otherwise mark each object twice, and in most configs the rectangle
    is there as a smart tool. Labels that differ go each to their own control. ``model_skip="true"`` takes a control out.
    """
    targets: dict[str, Target] = {}
    for control in _controls(plan, image_name):
        for label in control.labels:
            targets.setdefault(label.value.casefold(), (control, label))
    return list(targets.values())


def asked_targets(plan: LabelPlan, image_name: str) -> list[Target]:
    """What is looked for on an image by itself: every label once, and every label of a control that names its model.

    Whoever writes ``model`` on RectangleLabels beside BrushLabels with the same labels wants boxes, too.
    """
    targets = label_targets(plan, image_name)
    named = [control for control in _controls(plan, image_name) if control.model is not None]
    return list(dict.fromkeys([*targets, *((control, label) for control in named for label in control.labels)]))


def target_of_prompt(plan: LabelPlan, prompt: str, image_name: str) -> Target | None:
    """The label that the prompt's words name, else the first one; ``None`` when the image has no control for masks."""
    targets = label_targets(plan, image_name)
    if not targets:
        return next(((control, _NO_LABEL) for control in _controls(plan, image_name)), None)
    every_label = dataclasses.replace(targets[0][0], labels=tuple(label for _, label in targets))
    named = match_label(prompt, every_label)
    return next(target for target in targets if target[1] is named)


def target_of_label(plan: LabelPlan, label: str | None, image_name: str) -> Target | None:
    """The control of the truest shape that has the label of a click or a box; as for a prompt when none has it."""
    for control in _controls(plan, image_name):
        spec = control.find_label(label) if label else None
        if spec is not None:
            return control, spec
    return target_of_prompt(plan, label or "", image_name)


def _controls(plan: LabelPlan, image_name: str) -> list[OutputControl]:
    controls = [control for control in plan.outputs if control.to_name == image_name]
    return sorted(controls, key=lambda control: _ORDER.index(control.kind))
