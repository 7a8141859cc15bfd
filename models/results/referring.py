"""The tables of referring segmentation, under both protocols, from the rows of single expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from models.bootstrap import FEWEST_IMAGES
from models.figures import rounded
from models.metrics import ALL_KINDS, ReferringMetrics, ReferringScores, bootstrap_interval, by_kind
from models.official_metrics import OfficialMetrics, OfficialScores, official_iou
from models.results.rows import ExpressionRow

CLEAN = "clean"
OFFICIAL = "official"
PROTOCOLS = {
    CLEAN: (
        "Pixels of the original image; a prediction is empty when it has no pixel. mIoU, oIoU and Pr@X are over expressions that refer to "
        "something; gIoU and cIoU over all."
    ),
    OFFICIAL: (
        "The authors' own: a padded square of 512 x 512 pixels with an enlarged ground truth; fewer than 50 predicted pixels are nothing. "
        "mIoU (gIoU), oIoU (cIoU) and Pr@X are over all expressions."
    ),
}
"""Name -> what is counted, and how."""

Table = dict[str, dict[str, Any]]
"""Name of a row -> figure -> value; the row ``all`` comes first."""


def referring_figures(rows: Sequence[ExpressionRow]) -> dict[str, dict[str, Table]]:
    """Protocol -> ``by_kind`` and ``by_label`` -> table. The first row of ``by_kind`` is over all expressions.

    An expression counts for each label of what it refers to; one that refers to nothing has none.
    """
    labels = sorted({label for row in rows for label in row.labels})
    groups: dict[str, dict[str, Sequence[ExpressionRow]]] = {
        "by_kind": by_kind(rows, lambda row: row.kind),
        "by_label": {label: [row for row in rows if label in row.labels] for label in labels},
    }
    scorers = {CLEAN: clean_figures, OFFICIAL: official_figures}
    return {
        protocol: {name: {group: score(members) for group, members in table.items() if members} for name, table in groups.items()}
        for protocol, score in scorers.items()
    }


def clean_figures(rows: Sequence[ExpressionRow]) -> dict[str, Any]:
    """Figures of the protocol :data:`CLEAN` over some rows; ``None`` where no expression decides one."""
    metrics = ReferringMetrics()
    for row in rows:
        metrics.add_overlaps(row.clean, row.kind, ungated=row.ungated, group=row.image)
    return _flatten(metrics.table()[ALL_KINDS], rows)


def _flatten(scores: ReferringScores, rows: Sequence[ExpressionRow]) -> dict[str, Any]:
    masks = None if scores.targets is None else asdict(scores.targets)
    figures = {
        "n": scores.n,
        "n_no_target": scores.n_no_target,
        "miou": masks and masks["miou"],
        "miou_ci": masks and masks["miou_ci"] if _can_resample(rows) else None,
        "oiou": masks and masks["oiou"],
        "precision": masks and masks["precision"],
        "giou": scores.giou,
        "ciou": scores.ciou,
        "n_acc": scores.n_acc,
        "t_acc": scores.t_acc,
        "ungated": scores.targets_ungated and asdict(scores.targets_ungated),
    }
    return {name: rounded(value) for name, value in figures.items()}


def official_figures(rows: Sequence[ExpressionRow]) -> dict[str, Any]:
    """Figures of the protocol :data:`OFFICIAL` over at least one row; ``None`` where no expression decides one."""
    metrics = OfficialMetrics()
    for row in rows:
        metrics.add_overlap(row.official)
    scores: OfficialScores = metrics.scores()
    ious = [official_iou(row.official) for row in rows]
    figures = {
        "n": scores.n,
        "n_no_target": sum(row.official.truth == 0 for row in rows),
        "miou": scores.miou,
        "miou_ci": bootstrap_interval(ious, [row.image for row in rows]) if _can_resample(rows) else None,
        "oiou": scores.oiou,
        "precision": scores.precision,
        "giou": scores.miou,
        "ciou": scores.oiou,
        "n_acc": scores.n_acc,
        "t_acc": scores.t_acc,
        "n_acc_official_code": scores.n_acc_official_code,
        "t_acc_official_code": scores.t_acc_official_code,
    }
    return {name: rounded(value) for name, value in figures.items()}


def _can_resample(rows: Sequence[ExpressionRow]) -> bool:
    return len({row.image for row in rows}) >= FEWEST_IMAGES
