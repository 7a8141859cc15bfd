"""One region to one mask of an export, with everything that is worth telling about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.annotator_rule import Chosen, finite
from backend.export.image_sizes import Size, named_size
from backend.export.outlines import mask_to_polygons
from backend.export.records import ConvertOptions, MaskRecord
from backend.export.result_regions import ResultRegion
from backend.findings import Finding, Place
from backend.regions import RegionError, region_ring, region_to_mask
from backend.shapes import crosses_itself
from models import BoolMask, mask_to_coco_rle

_BORDER_TOLERANCE = 0.5
"""Pixels that a shape may reach beyond the image without being told: editors round."""

_MOST_TEXTS = 100


def category_of(region: ResultRegion, options: ConvertOptions, where: Place) -> tuple[int | None, list[Finding]]:
    """The category of a region (``None``: it has none and is left out), and what is to be told of its labels."""
    ids = options.scheme.category_ids
    known = [label for label in region.labels if label in ids]
    unknown = [label for label in region.labels if label not in ids]
    own_name = region.entry.get("from_name")
    if not region.labels and own_name in options.scheme.unlabelled:
        return ids[str(own_name)], []
    if not known:
        what = f"the label {unknown[0]!r:.100} is not in the labeling config" if unknown else "the region has no label"
        action = "left out; add the label to the config, or correct the region" if unknown else "left out; choose a label for it"
        return None, [Finding("error", "unknown-label" if unknown else "no-label", where, what, action)]
    findings = []
    if unknown:
        what = f"its label {unknown[0]!r:.100} is not in the labeling config"
        findings.append(Finding("warning", "unknown-label", where, what, f"written as {known[0]!r:.100} alone"))
    if len(known) > 1:
        what = f"it has {len(known)} labels, a category is one"
        findings.append(
            Finding("warning", "two-labels", where, what, f"written once, as {known[0]!r:.100}; the others stand in other_labels")
        )
    return ids[known[0]], findings


def read_mask(region: ResultRegion, size_hw: Size, where: Place) -> tuple[BoolMask | None, list[Finding]]:
    """The pixels of a region (``None``: it has none that can be read), and what is to be told of its shape."""
    findings: list[Finding] = []
    try:
        mask = region_to_mask(region.entry, size_hw)
        ring = region_ring(region.entry, size_hw)
    except RegionError as error:
        return None, [Finding("error", "unreadable", where, str(error), "left out")]
    own_size = named_size(region.entry)
    if own_size != size_hw:
        found = f"{own_size[1]}x{own_size[0]}" if own_size else "no size"
        what = f"the region says {found}, the image has {size_hw[1]}x{size_hw[0]}"
        findings.append(Finding("warning", "other-size", where, what, "read at the image's size"))
    if ring is not None and _reaches_out(ring, size_hw):
        findings.append(Finding("warning", "outside", where, "the shape reaches beyond the image", "cut at the image's border"))
    is_polygon = str(region.entry.get("type", "")).lower().startswith("polygon")
    if ring is not None and is_polygon and crosses_itself(ring, size_hw):
        what = "the outline crosses itself; what it runs around twice is ambiguous"
        findings.append(Finding("warning", "self-crossing", where, what, "filled by the even-odd rule"))
    if not mask.any():
        what = "the region covers no pixel of the image"
        return None, [*findings, Finding("error", "empty-mask", where, what, "left out; draw it again or delete it")]
    return mask, findings


def mask_record(
    mask: BoolMask, region: ResultRegion, category_id: int, image_id: int, chosen: Chosen, options: ConvertOptions, where: Place
) -> tuple[MaskRecord, list[Finding]]:
    """The record of a mask that covers at least one pixel."""
    findings: list[Finding] = []
    segmentation: Any = None
    if options.polygons:
        segmentation = mask_to_polygons(mask, options.tolerance)
        if segmentation is None:
            what = f"outlines cannot hold this mask within {options.tolerance:g} pixels"
            findings.append(Finding("warning", "no-polygon", where, what, "written as a run-length code"))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    record = MaskRecord(
        image_id=image_id,
        category_id=category_id,
        segmentation=dict(mask_to_coco_rle(mask)) if segmentation is None else segmentation,
        area=int(np.count_nonzero(mask)),
        box=(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top),
        is_crowd=any(label in options.crowd_labels for label in region.labels),
        attributes=_attributes(region, chosen, options),
    )
    return record, findings


def _attributes(region: ResultRegion, chosen: Chosen, options: ConvertOptions) -> dict[str, Any]:
    """Where a mask comes from; what is not known is left out."""
    entry = region.entry
    known = [label for label in region.labels if label in options.scheme.category_ids]
    origin = entry.get("origin")
    found = {
        "source": chosen.kind,
        f"{chosen.kind}_id": chosen.id,
        "region_id": region.id,
        "score": finite(entry.get("score")),
        "annotator": chosen.annotator,
        "origin": origin if isinstance(origin, str) else None,
        "ground_truth": chosen.is_ground_truth or None,
        "model_version": chosen.model_version,
        "prediction_score": chosen.score,
        "other_labels": known[1:] or None,
        "text": _texts(entry.get("meta")) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _texts(meta: Any) -> list[str]:
    """The expressions that asked for a region, where Wordmask or an annotator noted them."""
    found = meta.get("text") if isinstance(meta, dict) else None
    return [text for text in found if isinstance(text, str)][:_MOST_TEXTS] if isinstance(found, list) else []


def _reaches_out(ring: Any, size_hw: Size) -> bool:
    low, high = ring.min(axis=0), ring.max(axis=0)
    return bool((low < -_BORDER_TOLERANCE).any() or (high > np.array(size_hw[::-1]) + _BORDER_TOLERANCE).any())
