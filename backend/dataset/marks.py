"""Regions of an annotation on one image to the targets of a sample, with the words that each came from. Pure: no files, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.export.region_masks import read_mask
from backend.export.result_regions import ResultRegion
from backend.findings import Finding, Place, place
from models import BoolMask, Box, Target, mask_to_coco_rle

_LONGEST_PROMPT = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """A target, the labels it carries, and the prompts that asked for it (none: somebody drew it, or its label's words found it)."""

    target: Target
    labels: tuple[str, ...]
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """What one annotation says of one image.

    Args:
        marks: in the order of the result.
        broken_labels: labels of regions that could not be read: nothing is known about them on this image.
        findings: what was left out or changed.
    """

    marks: tuple[Mark, ...]
    broken_labels: frozenset[str]
    findings: tuple[Finding, ...]


def read_marks(regions: Sequence[ResultRegion], size_hw: tuple[int, int], where: Place) -> Marks:
    """Read the regions of one image.

    A rectangle becomes a box without a mask: it says where something is, not which of its pixels. Every other shape becomes a mask.

    Args:
        regions: those on this image.
        size_hw: of the image, turned as its EXIF orientation says.
        where: task and annotation, for findings.
    """
    marks: list[Mark] = []
    broken: set[str] = set()
    findings: list[Finding] = []
    for number, region in enumerate(regions, 1):
        mask, told = read_mask(region, size_hw, where + place(region=region.id))
        findings += told
        if mask is None:
            broken.update(region.labels or ("",))
            continue
        marks.append(Mark(_target(number, mask, region), region.labels, _prompts(region)))
    return Marks(tuple(marks), frozenset(broken), tuple(findings))


def _target(number: int, mask: BoolMask, region: ResultRegion) -> Target:
    is_box = str(region.entry.get("type", "")).lower().startswith("rectangle")
    told = {"region": region.id, "origin": region.entry.get("origin")}
    return Target(
        id=number,
        rle=None if is_box else mask_to_coco_rle(mask),
        box=_bounds(mask) if is_box else None,
        label=region.labels[0] if region.labels else None,
        attributes={name: value for name, value in told.items() if isinstance(value, str)},
    )


def _bounds(mask: BoolMask) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1


def _prompts(region: ResultRegion) -> tuple[str, ...]:
    meta = region.entry.get("meta")
    texts: Any = meta.get("text") if isinstance(meta, dict) else None
    found = texts if isinstance(texts, list) else [texts]
    cleaned = (" ".join(text.split()) for text in found if isinstance(text, str) and len(text) <= _LONGEST_PROMPT)
    return tuple(dict.fromkeys(text for text in cleaned if text))
