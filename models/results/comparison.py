"""Two evaluations of the same samples side by side: every figure, its difference, and how sure that difference is.

Both answered the same questions, so images are resampled for both at once (paired bootstrap): what makes an image hard for either cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.bootstrap import LEVEL, RESAMPLES, resampled_sums
from models.figures import rounded
from models.metrics import by_kind
from models.results.differences import difference
from models.results.document import Results, ResultsError
from models.results.figure_sums import FIGURES, FigureSums, divide
from models.results.label_comparison import compare_instances, compare_semantic
from models.results.referring import CLEAN, OFFICIAL
from models.results.rows import ExpressionRow

FORMAT = "wordmask-comparison"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Pair:
    """One expression with both answers."""

    a: ExpressionRow
    b: ExpressionRow

    @property
    def gain(self) -> float:
        """IoU of the second answer minus that of the first, at original resolution."""
        return self.b.clean.iou - self.a.clean.iou


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of both, as they stand in JSON, and the single expressions behind them."""

    a: Results
    b: Results
    figures: dict[str, Any]
    pairs: list[Pair]


def compare_results(a: Results, b: Results) -> Comparison:
    """Set a second evaluation against a first one.

    Raises:
        ResultsError: the two are not about the same samples, or have no task in common.
    """
    shared = [task for task in ("referring", "semantic", "instances") if a.figures[task] and b.figures[task]]
    if not shared:
        raise ResultsError(f"{a.path} and {b.path} have no task in common; evaluate both with the same --task")
    rows_a, rows_b = list(a.rows()), list(b.rows())
    pairs = _pair(a, b, _expressions(rows_a), _expressions(rows_b)) if "referring" in shared else []
    figures = {
        "format": FORMAT,
        "version": VERSION,
        "a": _about(a),
        "b": _about(b),
        "bootstrap": {"resampled": "images, for both at once", "resamples": RESAMPLES, "level": LEVEL},
        "referring": _compare_referring(pairs) if pairs else None,
        "semantic": compare_semantic(a, b, rows_a, rows_b) if "semantic" in shared else None,
        "instances": compare_instances(a, b, rows_a, rows_b) if "instances" in shared else None,
    }
    return Comparison(a, b, rounded(figures), pairs)


def _about(results: Results) -> dict[str, Any]:
    return {"file": results.path.name, **{name: results.figures[name] for name in ("command", "wordmask", "weights", "data")}}


def _expressions(rows: Iterable[dict[str, Any]]) -> list[ExpressionRow]:
    return [ExpressionRow.from_json(row) for row in rows if row["task"] == "referring"]


def _pair(a: Results, b: Results, rows_a: Sequence[ExpressionRow], rows_b: Sequence[ExpressionRow]) -> list[Pair]:
    of_b = {row.key: row for row in rows_b}
    of_a = {row.key: row for row in rows_a}
    for first, second, results in ((of_a, of_b, a), (of_b, of_a, b)):
        alone = next((row for key, row in first.items() if key not in second), None)
        if alone is not None:
            raise ResultsError(
                f"the samples differ: {a.path} has {len(rows_a)} expressions, {b.path} has {len(rows_b)}; only {results.path} has "
                f"{alone.text!r} on {alone.image}; evaluate both on the same data and split"
            )
    pairs = [Pair(row, of_b[row.key]) for row in rows_a]
    for pair in pairs:
        one, other = pair.a, pair.b
        if one.text != other.text or one.clean.truth != other.clean.truth:
            raise ResultsError(
                f"the samples differ: expression {one.place} on {one.image} is {one.text!r} ({one.clean.truth} pixels) in {a.path} "
                f"and {other.text!r} ({other.clean.truth} pixels) in {b.path}; evaluate both on the same data"
            )
    return pairs


def _compare_referring(pairs: Sequence[Pair]) -> dict[str, Any]:
    labels = sorted({label for pair in pairs for label in pair.a.labels})
    kinds = by_kind(pairs, lambda pair: pair.a.kind)
    by_label = {label: [pair for pair in pairs if label in pair.a.labels] for label in labels}
    return {
        protocol: {
            "by_kind": {name: _differences(members, protocol) for name, members in kinds.items()},
            "by_label": {name: _differences(members, protocol) for name, members in by_label.items()},
        }
        for protocol in (CLEAN, OFFICIAL)
    }


def _differences(pairs: Sequence[Pair], protocol: str) -> dict[str, Any]:
    a, b = FigureSums.of([pair.a for pair in pairs], protocol), FigureSums.of([pair.b for pair in pairs], protocol)
    table = np.concatenate([a.above, a.below, b.above, b.below], axis=1)
    above_a, below_a, above_b, below_b = np.split(resampled_sums(table, [pair.a.image for pair in pairs]), 4, axis=1)
    gains = divide(above_b, below_b) - divide(above_a, below_a)
    whole_a, whole_b, n_images = a.figures(), b.figures(), len({pair.a.image for pair in pairs})
    rows = {name: difference(whole_a[place], whole_b[place], gains[:, place], n_images) for place, name in enumerate(FIGURES)}
    return {"n": len(pairs), **rows}
