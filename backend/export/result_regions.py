"""The regions in a result: entries that cover pixels, each with all the labels that Label Studio gave it.

One region may be told by several entries: a shape of ``<Brush>`` and the label of ``<Labels>``, or one shape with the labels of two
controls. They have one id and the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.export.label_scheme import MASK_KINDS, labels_of
from backend.findings import Finding, Place, Severity, place

_LABEL_KEYS = frozenset({"labels", *(f"{kind}labels" for kind in MASK_KINDS)})


@dataclass(frozen=True, slots=True)
class ResultRegion:
    """One region: the entry with its shape, and its labels in the order of the result."""

    entry: Mapping[str, Any]
    labels: tuple[str, ...]

    @property
    def id(self) -> str | None:
        """Its id, where it has one."""
        found = self.entry.get("id")
        return None if found is None else str(found)


def regions_of_result(result: Sequence[Any], where: Place) -> tuple[list[ResultRegion], list[Finding]]:
    """Gather the regions of one annotation or prediction; everything else in it is told."""
    shapes: list[tuple[Mapping[str, Any], list[str]]] = []
    by_id: dict[Any, list[tuple[Mapping[str, Any], list[str]]]] = {}
    label_entries: list[Mapping[str, Any]] = []
    findings: list[Finding] = []
    for number, entry in enumerate(result):
        kind = str(entry.get("type", "")).lower() if isinstance(entry, Mapping) else ""
        if not isinstance(entry, Mapping):
            findings.append(_told("error", "no-region", where + place(entry=number), f"expected an object, found {type(entry).__name__}"))
        elif kind == "labels":
            label_entries.append(entry)
        elif kind.removesuffix("labels") in MASK_KINDS:
            _take_in(entry, shapes, by_id, where, findings)
        else:
            findings.append(_not_a_mask(entry, kind, where))
    for entry in label_entries:
        known = by_id.get(_key(entry))
        if known:
            known[-1][1].extend(labels_of(entry))
        else:
            findings.append(_not_a_mask(entry, "labels without a shape", where))
    return [ResultRegion(entry, tuple(dict.fromkeys(labels))) for entry, labels in shapes], findings


def _take_in(
    entry: Mapping[str, Any],
    shapes: list[tuple[Mapping[str, Any], list[str]]],
    by_id: dict[Any, list[tuple[Mapping[str, Any], list[str]]]],
    where: Place,
    findings: list[Finding],
) -> None:
    key = _key(entry)
    same = by_id.get(key, [])
    for known, labels in same:
        if _shape(known) == _shape(entry):
            labels.extend(labels_of(entry))
            return
    if same:
        what = "another region of the annotation has this id; Label Studio's editor shows the two as one"
        findings.append(Finding("warning", "same-id", where + place(region=entry.get("id")), what, "written as two regions"))
    shape = entry, labels_of(entry)
    shapes.append(shape)
    if key is not None:
        by_id.setdefault(key, []).append(shape)


def _key(entry: Mapping[str, Any]) -> Any:
    found = entry.get("id")
    return (found, str(entry.get("to_name")), str(entry.get("item_index") or 0)) if isinstance(found, (str, int)) else None


def _shape(entry: Mapping[str, Any]) -> Any:
    value = entry.get("value")
    kind = str(entry.get("type", "")).lower().removesuffix("labels")
    return kind, {key: item for key, item in value.items() if key not in _LABEL_KEYS} if isinstance(value, Mapping) else None


def _not_a_mask(entry: Mapping[str, Any], kind: str, where: Place) -> Finding:
    value = entry.get("value")
    own = where + place(region=entry.get("id"))
    if kind.removesuffix("labels") == "vector" and isinstance(value, Mapping) and value.get("closed"):
        return _told("error", "vector", own, "the inside of a closed vector is not read; expected a polygon")
    drawn = kind.removesuffix("labels") in ("keypoint", "vector")
    return _told("note", "not-a-mask", own, f"{kind[:40]!r} covers no pixels" if drawn else f"{kind[:40]!r} is no region")


def _told(severity: Severity, kind: str, where: Place, what: str) -> Finding:
    return Finding(severity, kind, where, what, "left out")
