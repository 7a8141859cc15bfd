"""The words that the targets of an image are learned with, and those that refer to nothing there. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from backend.dataset.marks import Mark, Marks
from backend.label_plan import LabelSpec, split_identifier
from models import Expression

PROMPT, LABEL, ABSENT = "prompt", "label", "absent"
"""Kinds of expression: asked by a person or a task, words of a label, words of a label that a reviewed image does not have."""


def expressions_of(found: Marks, labels: Sequence[LabelSpec], *, reviewed: Collection[str]) -> tuple[Expression, ...]:
    """What can be said about an image that somebody has reviewed.

    A prompt refers to the regions it made. A label refers to all its regions, if any of them was made without a prompt. A label that was
    left unused teaches that its words refer to nothing here. Labels of a region that could not be read say nothing at all.

    Args:
        found: the regions.
        labels: of the controls on this image; those without words only take what prompts find.
        reviewed: values of the labels that were there to be used when the image was reviewed.
    """
    by_value = {label.value: label for label in labels}
    used = dict.fromkeys(label for mark in found.marks for label in mark.labels)
    prompts = dict.fromkeys(prompt for mark in found.marks for prompt in mark.prompts)
    said = [Expression(prompt, _ids(mark for mark in found.marks if prompt in mark.prompts), PROMPT) for prompt in prompts]
    for value in used:
        marks = [mark for mark in found.marks if value in mark.labels]
        if value not in found.broken_labels and any(not mark.prompts for mark in marks):
            said.append(Expression(_words(value, by_value.get(value)), _ids(marks), LABEL))
    nothing_known = found.broken_labels if "" not in found.broken_labels else frozenset(by_value)
    for label in labels:
        if label.value not in used and label.value not in nothing_known and label.value in reviewed:
            said += [Expression(phrase, (), ABSENT) for phrase in label.phrases]
    return _merged(said)


def _ids(marks: Iterable[Mark]) -> tuple[int, ...]:
    return tuple(mark.target.id for mark in marks)


def _words(value: str, label: LabelSpec | None) -> str:
    """One phrase is what the label means; of several (``car, bus``) nobody knows which one a region is, so its name speaks for all."""
    phrases = label.phrases if label is not None else ()
    return phrases[0] if len(phrases) == 1 else split_identifier(value) or value


def _merged(said: Iterable[Expression]) -> tuple[Expression, ...]:
    """One expression per wording: the same words cannot mean different things in one image, so their regions are taken together."""
    merged: dict[str, Expression] = {}
    for expression in said:
        known = merged.setdefault(expression.text.casefold(), expression)
        ids = tuple(sorted({*known.target_ids, *expression.target_ids}))
        merged[expression.text.casefold()] = Expression(known.text, ids, known.kind)
    return tuple(merged.values())
