"""Average precision and recall of single objects' masks, by COCO's own tool.

Two readers of its work: :func:`evaluate_instances` returns its figures, and per image what it matched, from which
:mod:`models.average_precision` computes the same AP again over images that were drawn with replacement.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

STATS = {
    "ap": "AP, mean over IoU .50 to .95",
    "ap50": "AP at IoU .50",
    "ap75": "AP at IoU .75",
    "ap_small": "AP of objects below 32 x 32 pixels",
    "ap_medium": "AP of objects between 32 x 32 and 96 x 96 pixels",
    "ap_large": "AP of objects above 96 x 96 pixels",
    "ar1": "AR with 1 answer per image",
    "ar10": "AR with 10 answers per image",
    "ar100": "AR with 100 answers per image",
    "ar_small": "AR of objects below 32 x 32 pixels",
    "ar_medium": "AR of objects between 32 x 32 and 96 x 96 pixels",
    "ar_large": "AR of objects above 96 x 96 pixels",
}
"""COCO's twelve figures in its order, with what they say."""

INSTANCES_PROTOCOL = "COCO's own: average precision and recall of masks by COCOeval, IoU .50 to .95, at most 100 answers per image."

_CURVE_IOUS = (0.5, 0.75)
_CURVE_STEP = 5
"""Every fifth of COCO's 101 recalls is kept for the curve."""


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """What COCO's tool finds; ``None`` where no object decides a figure."""

    stats: dict[str, float | None]
    """By the names of :data:`STATS`."""
    ap_by_label: dict[str, float | None]
    objects_by_label: dict[str, int]
    curves: dict[str, list[float | None]]
    """IoU -> precision at recall 0, .05, ... 1, mean over labels."""


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """What was matched on one image for one label, over COCO's ten IoU thresholds; crowds are left out."""

    image_id: int
    label: str
    n_truth: int
    scores: tuple[float, ...]
    """Best first."""
    hits: tuple[int, ...]
    """Per answer, bit ``t``: it matches an object at threshold ``t``."""
    ignored: tuple[int, ...]
    """Per answer, bit ``t``: at threshold ``t`` it counts neither as right nor as wrong."""


def evaluate_instances(truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> tuple[InstanceScores, list[ImageMatches]]:
    """Compare found objects with the ground truth.

    Args:
        truth: a COCO data set: ``images``, ``annotations``, ``categories``.
        found: COCO results with ``image_id``, ``category_id``, ``segmentation`` (RLE) and ``score``.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # the tool reports to standard output
        evaluation = COCOeval(_indexed(truth), _indexed({**truth, "annotations": _as_annotations(found)}), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = {category["id"]: category["name"] for category in truth["categories"]}
    return _scores(evaluation, names), list(_matches(evaluation, names))


def _indexed(dataset: Mapping[str, Any]) -> Any:
    coco = COCO()
    coco.dataset = {key: [dict(one) for one in dataset[key]] for key in ("images", "annotations", "categories")}
    coco.createIndex()
    return coco


def _as_annotations(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**one, "id": number, "iscrowd": 0, "area": float(mask_tools.area(_for_the_tool(one["segmentation"])))}
        for number, one in enumerate(found, 1)
    ]


def _for_the_tool(rle: Mapping[str, Any]) -> dict[str, Any]:
    counts = rle["counts"]
    return {"size": rle["size"], "counts": counts.encode() if isinstance(counts, str) else counts}


def _scores(evaluation: Any, names: Mapping[int, str]) -> InstanceScores:
    precision = evaluation.eval["precision"]  # [threshold, recall, category, area, most answers]; -1 where undefined
    categories = list(evaluation.params.catIds)
    everything = precision[:, :, :, 0, -1]
    objects = dict.fromkeys(names.values(), 0)
    for annotation in evaluation.cocoGt.dataset["annotations"]:
        objects[names[annotation["category_id"]]] += not annotation.get("iscrowd", 0)
    curves = {}
    for iou in _CURVE_IOUS:
        at = int(np.argmin(abs(evaluation.params.iouThrs - iou)))
        curves[f"{iou}"] = [_mean(everything[at, recall]) for recall in range(0, everything.shape[1], _CURVE_STEP)]
    return InstanceScores(
        stats={name: _mean(np.array([value])) for name, value in zip(STATS, evaluation.stats, strict=True)},
        ap_by_label={names[category]: _mean(everything[:, :, place]) for place, category in enumerate(categories)},
        objects_by_label=objects,
        curves=curves,
    )


def _mean(values: Any) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _matches(evaluation: Any, names: Mapping[int, str]) -> Iterable[ImageMatches]:
    everything = evaluation.params.areaRng[0]
    for found in evaluation.evalImgs:
        if found is None or found["aRng"] != everything:
            continue
        bits = 1 << np.arange(len(evaluation.params.iouThrs))[:, np.newaxis]
        yield ImageMatches(
            image_id=int(found["image_id"]),
            label=names[found["category_id"]],
            n_truth=int(np.count_nonzero(np.asarray(found["gtIgnore"]) == 0)),
            scores=tuple(float(score) for score in found["dtScores"]),
            hits=tuple(((found["dtMatches"] > 0) * bits).sum(axis=0).tolist()),
            ignored=tuple((found["dtIgnore"] * bits).sum(axis=0).tolist()),
        )
