"""The report of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from models.figures import PROMPT_NAMES
from models.instance_metrics import STATS
from models.report.cases import OUTCOMES, choose_cases, outcome_of
from models.report.charts import Series, histogram, line_chart
from models.report.curves import bars_of, presence_of, share_above
from models.report.environment import render
from models.report.label_cases import choose_label_cases, most_confused
from models.report.pictures import ImageFinder, ReadImage
from models.results.document import Results
from models.results.referring import PROTOCOLS
from models.results.rows import ExpressionRow
from models.semantic_metrics import SEMANTIC_PROTOCOLS

MOST_ROWS = 20_000
"""Expressions that the page itself holds, for its filters; about 150 bytes each."""

_HEADLINE = (
    ("miou", "mIoU", ""),
    ("oiou", "oIoU", "all intersections over all unions"),
    ("giou", "gIoU", "right silence counts as 1"),
    ("ciou", "cIoU", "false alarms count in the union"),
    ("n_acc", "N-acc", "nothing there, nothing marked"),
    ("t_acc", "T-acc", "something there, something marked"),
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its words."""

    title: str
    svg: Markup
    note: str


def write_report(path: Path, results: Results, read_image: ReadImage) -> None:
    """Write the report of an evaluation as one HTML file.

    Args:
        path: of the file.
        results: with its rows beside it.
        read_image: decodes an image file to uint8 ``[H, W, 3]``; raises ``OSError`` or ``ValueError`` where it cannot.

    Raises:
        models.results.document.ResultsError: the rows are missing or belong to other results.
    """
    lines = list(results.rows())
    rows = [ExpressionRow.from_json(line) for line in lines if line["task"] == "referring"]
    finder = ImageFinder(results.figures["data"], read_image)
    cases = choose_cases(rows, finder)
    pixels = [line for line in lines if line["task"] == "semantic"]
    names = results.figures["semantic"]["labels"] if results.figures["semantic"] else []
    by_badness = sorted(rows, key=lambda row: row.clean.iou)
    page = render(
        "report.html",
        title=results.title,
        figures=results.figures,
        rows=rows,
        cases=cases,
        has_pictures=any(case.picture for case in cases),
        has_ungated=any(row.ungated for row in rows),
        kinds=sorted({row.kind for row in rows}),
        labels=sorted({label for row in rows for label in row.labels}),
        outcomes=OUTCOMES,
        protocols=PROTOCOLS,
        semantic_protocols=SEMANTIC_PROTOCOLS,
        headline=_HEADLINE,
        precisions=("0.5", "0.6", "0.7", "0.8", "0.9"),
        prompt_names=PROMPT_NAMES,
        stats=STATS,
        charts=_charts(rows) if rows else [],
        instance_chart=_instance_chart(results.figures["instances"]) if results.figures["instances"] else None,
        confusions=most_confused(pixels, names),
        label_cases=choose_label_cases(pixels, names, finder),
        data={"mode": "evaluation", "total": len(rows), "rows": [_record(row) for row in by_badness[:MOST_ROWS]]},
    )
    path.write_text(page, encoding="utf-8")


def _record(row: ExpressionRow) -> list[Any]:
    """What the page's script reads of one expression, in the order that stands in its first line."""
    overlap = row.clean
    about = [row.text, row.image, row.kind, list(row.labels), outcome_of(row), round(overlap.iou, 4)]
    return [*about, row.presence, row.score, overlap.intersection, overlap.union, overlap.truth, overlap.predicted]


def _charts(rows: Sequence[ExpressionRow]) -> list[Chart]:
    targets = [row for row in rows if row.clean.truth]
    ious = [row.clean.iou for row in targets]
    ungated = [row.ungated.iou for row in targets if row.ungated]
    lines = [Series("mask as given", share_above(ious)), Series("before the decision", share_above(ungated), "second")]
    bars, highest = bars_of(ious)
    charts = [
        Chart(
            "Pr@X",
            line_chart("Share of expressions whose IoU reaches X, for X from 0 to 1", "IoU at least", "share of expressions", lines),
            "Over expressions that refer to something, at original resolution.",
        ),
        Chart(
            "IoU",
            histogram("How many expressions have which IoU", "IoU", "expressions", bars, highest),
            f"{sum(iou == 0 for iou in ious)} of {len(ious)} have no pixel in common with the ground truth.",
        ),
    ]
    return charts + _presence_charts(rows)


def _presence_charts(rows: Sequence[ExpressionRow]) -> list[Chart]:
    presence = presence_of(rows)
    if presence is None:
        return []
    decision = [presence.decision] if presence.decision else []
    curve = [Series("by falling presence", presence.curve), Series("the model's decision", decision, "second", dots=True)]
    calibration = [Series("perfect", [(0, 0), (1, 1)], "guide"), Series("tenths of presence", presence.calibration, dots=True)]
    return [
        Chart(
            "Is anything there?",
            line_chart("Precision over recall of the decision that an expression refers to something", "recall", "precision", curve),
            f"Average precision {presence.average_precision:.3f}; "
            f"{sum(row.clean.truth > 0 for row in rows) / len(rows):.3f} of the expressions refer to something.",
        ),
        Chart(
            "Calibration of presence",
            line_chart("Share of expressions that refer to something, by presence", "presence", "share with a target", calibration),
            f"Mean distance from the diagonal {presence.calibration_error:.3f}.",
        ),
    ]


def _instance_chart(instances: dict[str, Any]) -> Markup:
    styles = ("first", "second")
    lines = []
    for (iou, precisions), style in zip(instances["curves"].items(), styles, strict=True):
        steps = len(precisions) - 1
        points = [(place / steps, value) for place, value in enumerate(precisions) if value is not None]
        lines.append(Series(f"IoU at least {iou}", points, style))
    return line_chart("Precision over recall of found objects", "recall", "precision", lines)
