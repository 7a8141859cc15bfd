"""The curves of a project: how a job learns or has learned, and how good the versions are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from backend.versions.line import Version
from models import Series, line_chart


def learning_curve(curve: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Validation score and training loss over epochs; ``None`` without any.

    Losses have no scale of their own: the line shows them as shares of the highest, which the legend names.

    Args:
        curve: entries with ``epoch`` and ``validation`` or ``train_loss``, as a manifest or the record of a job has them.
    """
    validation, losses = _numbers(curve, "validation"), _numbers(curve, "train_loss")
    if not validation and not losses:
        return None
    last = _round_up(max(epoch for epoch, _ in (*validation, *losses)))
    highest = max((loss for _, loss in losses), default=0.0) or 1.0
    series = [
        Series("mean IoU on validation", [(epoch / last, value) for epoch, value in validation], dots=True),
        Series(f"training loss, 1 is {highest:.2f}", [(epoch / last, loss / highest) for epoch, loss in losses], "second"),
    ]
    return line_chart("Mean IoU on the validation images and training loss, by epoch", "epoch", "mean IoU", series, to_x=last)


def version_curve(versions: Iterable[Version]) -> Markup | None:
    """Scores of versions, each beside what it began from on the same images; ``None`` without a version."""
    scores = [(version.number, version.manifest.serving.mean, version.manifest.candidate.mean) for version in versions]
    if not scores:
        return None
    last = _round_up(max(number for number, _, _ in scores))
    series = [
        Series("what it began from", [(number / last, before) for number, before, _ in scores], "second", dots=True),
        Series("version", [(number / last, own) for number, _, own in scores], dots=True),
    ]
    return line_chart("Mean IoU of each version on the validation images of its time", "version", "mean IoU", series, to_x=last)


def _round_up(last: float) -> int:
    """The end of an axis whose quarters are whole numbers."""
    return 4 * max(1, math.ceil(last / 4))


def _numbers(curve: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    found = [(entry.get("epoch"), entry.get(name)) for entry in curve]
    return [(float(epoch), float(value)) for epoch, value in found if isinstance(epoch, int | float) and isinstance(value, int | float)]
