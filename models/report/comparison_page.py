"""The report of two evaluations side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from models.report.cases import choose_changes
from models.report.charts import Series, histogram, interval_bar, line_chart
from models.report.curves import bars_of, share_above
from models.report.environment import render
from models.report.page import MOST_ROWS, Chart
from models.report.pictures import ImageFinder, ReadImage
from models.results.comparison import Comparison, Pair
from models.results.figure_sums import FIGURES
from models.results.referring import PROTOCOLS
from models.results.tables import FIGURE_TITLES

_WIDEST = 0.2
"""Difference at which the bars of intervals end; larger ones are cut off there."""


def write_comparison(path: Path, comparison: Comparison, read_image: ReadImage) -> None:
    """Write the report of a comparison as one HTML file; arguments as of :func:`models.report.page.write_report`."""
    pairs = comparison.pairs
    finder = ImageFinder(comparison.b.figures["data"], read_image)
    ordered = sorted(pairs, key=lambda pair: -abs(pair.gain))
    page = render(
        "comparison.html",
        title=f"{comparison.b.title} against {comparison.a.title}",
        figures=comparison.figures,
        protocols=PROTOCOLS,
        kinds=sorted({pair.a.kind for pair in pairs}),
        labels=sorted({label for pair in pairs for label in pair.a.labels}),
        changes=choose_changes(pairs, finder),
        charts=_charts(pairs) if pairs else [],
        interval_bar=_interval_bar,
        rows_of=_rows_of,
        miou_rows=_miou_rows,
        data={"mode": "comparison", "total": len(pairs), "rows": [_record(pair) for pair in ordered[:MOST_ROWS]]},
    )
    path.write_text(page, encoding="utf-8")


def _rows_of(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(FIGURE_TITLES[name], row[name]) for name in FIGURES]


def _miou_rows(table: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{name} ({row['n']})", row["miou"]) for name, row in table.items() if row["miou"]["a"] is not None]


def _interval_bar(row: dict[str, Any]) -> Markup:
    low, high = row["interval"]
    return interval_bar(low, row["difference"], high, _WIDEST)


def _charts(pairs: Sequence[Pair]) -> list[Chart]:
    targets = [pair for pair in pairs if pair.a.clean.truth]
    first = Series("first", share_above([pair.a.clean.iou for pair in targets]), "second")
    second = Series("second", share_above([pair.b.clean.iou for pair in targets]))
    better, worse = sum(pair.gain > 0 for pair in pairs), sum(pair.gain < 0 for pair in pairs)
    reached = line_chart("Share of expressions whose IoU reaches X, of both", "IoU at least", "share of expressions", [first, second])
    bars, highest = bars_of([pair.gain for pair in pairs], -1.0)
    changed = histogram("How many expressions changed their IoU by how much", "difference of IoU", "expressions", bars, highest, -1.0)
    note = f"Of {len(pairs)} expressions {better} got better, {worse} got worse, {len(pairs) - better - worse} stayed."
    return [Chart("Pr@X", reached, "Over expressions that refer to something, at original resolution."), Chart("Changes", changed, note)]


def _record(pair: Pair) -> list[Any]:
    """What the page's script reads of one expression, in the order that stands in its first line."""
    row, change = pair.a, "gain" if pair.gain > 0 else "loss" if pair.gain < 0 else "same"
    about = [row.text, row.image, row.kind, list(row.labels), change, round(pair.gain, 4)]
    return [*about, round(row.clean.iou, 4), round(pair.b.clean.iou, 4), 0, 0, 0, 0]
