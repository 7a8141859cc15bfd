"""The figures of an evaluation as tables of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from models.instance_metrics import STATS
from models.metrics import ALL_KINDS
from models.results.figure_sums import FIGURES
from models.results.referring import CLEAN, Table
from models.semantic_metrics import BACKGROUND, MESS

REFERRING_HEADER = ("n", "mIoU", "95 % CI", "oIoU", "Pr@.5", "Pr@.6", "Pr@.7", "Pr@.8", "Pr@.9", "gIoU", "cIoU", "N-acc", "T-acc")
MOST_LABELS = 20
"""Labels in a table of text, those with the most examples; all are in the JSON file and in the report."""

FIGURE_TITLES = {
    "miou": "mIoU", "oiou": "oIoU", "pr@0.5": "Pr@.5", "pr@0.7": "Pr@.7", "pr@0.9": "Pr@.9",
    "giou": "gIoU", "ciou": "cIoU", "n_acc": "N-acc", "t_acc": "T-acc",
}  # fmt: skip
PROPOSALS = {
    "points_per_image": "points that SAM was asked at, per image",
    "sam_masks_per_object": "SAM's masks, per object",
    "joined_masks_per_object": "masks after aggregation, per object",
}
_PRECISIONS = ("0.5", "0.6", "0.7", "0.8", "0.9")


@dataclass(frozen=True, slots=True)
class TextTable:
    """One table, ready to print."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def result_tables(figures: dict[str, Any]) -> Iterator[TextTable]:
    """Every table of an evaluation; ``figures`` as they stand in its JSON file."""
    for protocol, tables in (figures["referring"] or {}).items():
        yield TextTable(f"words, protocol {protocol}", ("kind", *REFERRING_HEADER), referring_cells(tables["by_kind"]))
    for table in [figures["referring"][CLEAN]["by_label"]] if figures["referring"] else []:
        shown, title = _most_common(table, {label: row["n"] for label, row in table.items()})
        if shown:
            yield TextTable(f"words by label{title}, protocol {CLEAN}", ("label", *REFERRING_HEADER), referring_cells(shown))
    if figures["semantic"]:
        yield from _semantic_tables(figures["semantic"])
    if figures["instances"]:
        yield from instance_tables(figures["instances"])
    if figures.get("proposals"):  # not in files of earlier versions
        yield TextTable(
            "label lists", ("figure", "value"), [(PROPOSALS[name], cell(value)) for name, value in figures["proposals"].items()]
        )


def referring_cells(table: Table) -> list[tuple[str, ...]]:
    """One row of text per row of the table: its name, then the columns of :data:`REFERRING_HEADER`."""
    return [(name, *_referring_row(row)) for name, row in table.items()]


def _referring_row(row: dict[str, Any]) -> tuple[str, ...]:
    interval = row["miou_ci"]
    precision = row["precision"] or {}
    return (
        str(row["n"]),
        cell(row["miou"]),
        "-" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}",
        cell(row["oiou"]),
        *(cell(precision.get(threshold)) for threshold in _PRECISIONS),
        *(cell(row[name]) for name in ("giou", "ciou", "n_acc", "t_acc")),
    )


def _semantic_tables(semantic: dict[str, Any]) -> Iterator[TextTable]:
    names = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy", "mean_accuracy": "mean accuracy"}
    whole = [(title, cell(semantic[MESS][name]), cell(semantic[BACKGROUND][name])) for name, title in names.items()]
    yield TextTable("labels, every pixel", ("figure", MESS, BACKGROUND), whole)
    shown, title = _most_common(dict.fromkeys(semantic["labels"]), semantic[MESS]["pixels"])
    by_label = [
        (label, str(semantic[MESS]["pixels"][label]), cell(semantic[MESS]["iou"][label]), cell(semantic[BACKGROUND]["iou"][label]))
        for label in shown
    ]
    yield TextTable(f"IoU by label{title}", ("label", "pixels", MESS, BACKGROUND), by_label)


def instance_tables(instances: dict[str, Any]) -> Iterator[TextTable]:
    """COCO's twelve figures, and AP by label."""
    yield TextTable("single objects", ("figure", "value"), [(STATS[name], cell(value)) for name, value in instances["stats"].items()])
    objects = instances["objects_by_label"]
    shown, title = _most_common(instances["ap_by_label"], objects)
    by_label = [(label, str(objects[label]), cell(value)) for label, value in shown.items()]
    yield TextTable(f"AP by label{title}", ("label", "objects", "AP"), by_label)


def _most_common(table: dict[str, Any], counts: dict[str, int]) -> tuple[dict[str, Any], str]:
    """The rows of the labels with the highest counts, and what a title says if some are left out."""
    if len(table) <= MOST_LABELS:
        return table, ""
    labels = sorted(table, key=lambda label: -counts[label])[:MOST_LABELS]
    return {label: table[label] for label in labels}, f", the {MOST_LABELS} most common of {len(table)}"


def cell(value: float | None) -> str:
    """Three decimals, or a dash where nothing decided the figure."""
    return "-" if value is None else f"{value:.3f}"


def comparison_tables(figures: dict[str, Any]) -> Iterator[TextTable]:
    """The tables of a comparison; ``figures`` as they stand in its JSON file."""
    header = ("first", "second", "difference", "95 % CI", "")
    for protocol, tables in (figures["referring"] or {}).items():
        whole = tables["by_kind"][ALL_KINDS]
        rows = [(FIGURE_TITLES[name], *difference_cells(whole[name])) for name in FIGURES]
        yield TextTable(f"words, protocol {protocol}", ("figure", *header), rows)
        by_kind = [(kind, *difference_cells(row["miou"])) for kind, row in tables["by_kind"].items() if row["miou"]["a"] is not None]
        yield TextTable(f"mIoU by kind, protocol {protocol}", ("kind", *header), by_kind)
    for protocol, scores in (figures["semantic"] or {}).items():
        rows = [("mIoU", *difference_cells(scores["miou"])), ("pixel accuracy", *difference_cells(scores["pixel_accuracy"]))]
        yield TextTable(f"labels, every pixel, protocol {protocol}", ("figure", *header), rows)
    if figures["instances"]:
        yield TextTable("single objects", ("figure", *header), [("AP", *difference_cells(figures["instances"]["ap"]))])


def difference_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Both figures, their difference, its interval and the verdict, as text."""
    interval = row["interval"]
    between = "-" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
    gain = "-" if row["difference"] is None else f"{row['difference']:+.3f}"
    return cell(row["a"]), cell(row["b"]), gain, between, row["verdict"] or ""
