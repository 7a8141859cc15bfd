"""Two evaluations of labels side by side, resampled by image from the rows of single images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from models.average_precision import MatchTable
from models.bootstrap import Floats, draws, resampled_sums
from models.label_evaluation import match_from_json
from models.results.differences import difference
from models.results.document import Results, ResultsError
from models.results.figure_sums import divide
from models.semantic_metrics import BACKGROUND, MESS

INSTANCE_RESAMPLES = 200
"""Fewer than elsewhere: each computes an average precision over the whole set."""

Rows = Iterable[dict[str, Any]]


def compare_semantic(a: Results, b: Results, rows_a: Rows, rows_b: Rows) -> dict[str, Any]:
    """Protocol -> figure -> difference; IoU of each label under ``iou``."""
    labels = a.figures["semantic"]["labels"]
    if labels != b.figures["semantic"]["labels"]:
        raise ResultsError(f"the samples differ: {a.path} and {b.path} were asked for other labels; evaluate both on the same data")
    counts_a, counts_b = (_counts(rows, len(labels) + 1) for rows in (rows_a, rows_b))
    _check_images(a, b, counts_a, counts_b)
    sides = [np.stack([of[image] for image in counts_a]) for of in (counts_a, counts_b)]
    if (sides[0].sum(axis=2) != sides[1].sum(axis=2)).any():
        raise ResultsError(
            f"the samples differ: {a.path} and {b.path} have other masks in their ground truth; evaluate both on the same data"
        )
    first, second = sides
    return {
        protocol: _semantic_differences(_columns(first, protocol), _columns(second, protocol), labels) for protocol in (MESS, BACKGROUND)
    }


def _counts(rows: Rows, side: int) -> dict[str, Any]:
    counts = {}
    for row in rows:
        if row["task"] == "semantic":
            matrix = np.zeros((side, side), np.int64)
            for truth, found, pixels in row["pairs"]:
                matrix[truth, found] = pixels
            counts[row["image"]] = matrix
    return counts


def _check_images(a: Results, b: Results, of_a: Iterable[str], of_b: Iterable[str]) -> None:
    images_a, images_b = set(of_a), set(of_b)
    if images_a != images_b:
        alone = sorted(images_a ^ images_b)[0]
        only = a.path if alone in images_a else b.path
        raise ResultsError(
            f"the samples differ: {a.path} has {len(images_a)} images, {b.path} has {len(images_b)}; only {only} has {alone}; "
            "evaluate both on the same data and split"
        )


def _columns(counts: Any, protocol: str) -> Floats:
    """Per image: hits and unions of each label, then right and judged pixels; float ``[I, 2 L + 2]``."""
    judged = counts[:, 1:] if protocol == MESS else counts
    hits = np.diagonal(counts, axis1=1, axis2=2)[:, 1:]
    unions = counts[:, 1:].sum(axis=2) + judged[:, :, 1:].sum(axis=1) - hits
    right = hits.sum(axis=1) + (counts[:, 0, 0] if protocol == BACKGROUND else 0)
    columns = [hits, unions, right[:, np.newaxis], judged.sum(axis=(1, 2))[:, np.newaxis]]
    return np.concatenate(columns, axis=1, dtype=np.float64)


def _semantic_differences(a: Floats, b: Floats, labels: Sequence[str]) -> dict[str, Any]:
    resampled_a, resampled_b = (_semantic_figures(sums) for sums in np.split(resampled_sums(np.concatenate([a, b], axis=1)), 2, axis=1))
    whole_a, whole_b = (_semantic_figures(side.sum(axis=0, keepdims=True))[0] for side in (a, b))
    gains = resampled_b - resampled_a
    rows = [difference(whole_a[place], whole_b[place], gains[:, place], len(a)) for place in range(len(labels) + 2)]
    return {"miou": rows[0], "pixel_accuracy": rows[1], "iou": dict(zip(labels, rows[2:], strict=True))}


def _semantic_figures(sums: Floats) -> Floats:
    """Mean IoU, pixel accuracy and the IoU of each label, float ``[R, 2 + L]``, from sums ``[R, 2 L + 2]``."""
    n_labels = (sums.shape[1] - 2) // 2
    iou = divide(sums[:, :n_labels], sums[:, n_labels : 2 * n_labels])
    defined = ~np.isnan(iou)
    miou = divide(np.where(defined, iou, 0).sum(axis=1), defined.sum(axis=1).astype(float))
    return np.concatenate([miou[:, np.newaxis], divide(sums[:, -2], sums[:, -1])[:, np.newaxis], iou], axis=1)


def compare_instances(a: Results, b: Results, rows_a: Rows, rows_b: Rows) -> dict[str, Any]:
    """AP of both and its difference."""
    images_a, images_b = (_image_ids(rows) for rows in (rows_a, rows_b))
    _check_images(a, b, images_a, images_b)
    tables = [
        MatchTable([match_from_json(row) for row in rows if row["task"] == "instances"], list(images.values()))
        for rows, images in ((rows_a, images_a), (rows_b, images_b))
    ]
    gains = [
        tables[1].average_precision(weights) - tables[0].average_precision(weights)
        for part in draws(len(images_a), resamples=INSTANCE_RESAMPLES)
        for weights in part.astype(float)
    ]
    ap_a, ap_b = (table.average_precision() for table in tables)
    return {"ap": difference(ap_a, ap_b, np.array(gains), len(images_a)), "resamples": INSTANCE_RESAMPLES}


def _image_ids(rows: Rows) -> dict[str, int]:
    return {row["image"]: row["id"] for row in rows if row["task"] == "instance_image"}
