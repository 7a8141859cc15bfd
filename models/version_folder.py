"""A version: what fine-tuning changed of a set of weights. ``delta.safetensors`` and ``manifest.json`` in one folder.

A delta holds the new values of the tensors that differ from the *base*, never from another version, so any version can be deleted without
breaking one that came after it. This file imports no torch; :func:`models.find_weights` takes a version's folder as it takes a profile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.weights_error import WeightsError

DELTA_FILE = "delta.safetensors"
VERSION_FILE = "manifest.json"
FORMAT = "wordmask-version/1"


@dataclass(frozen=True, slots=True)
class Base:
    """The weights that a version changes."""

    profile: str
    """Name of a profile that ships, or path of a weights folder."""
    version: str
    digest: str
    """SHA-256 of its weights file, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well the expressions of one label are answered."""

    iou: float
    count: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean IoU over expressions, see :func:`fair_mean`."""

    mean: float
    per_label: Mapping[str, LabelScore]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Scores:
        """The reverse of :func:`dataclasses.asdict`."""
        return cls(float(record["mean"]), {label: LabelScore(**one) for label, one in record["per_label"].items()})


def fair_mean(something: tuple[float, int], nothing: tuple[float, int]) -> float:
    """Mean IoU over expressions, where those that refer to nothing count together at most as much as the others.

    A project of fifty labels has two on an image: counted alike, a model that never finds anything would be right in 96 of 100 cases.

    Args:
        something: sum of the IoUs of expressions that refer to something, and how many there are.
        nothing: how many of the others found nothing, which is right, and how many there are.
    """
    (right, count), (right_nothing, count_nothing) = something, nothing
    weight = min(1.0, count / count_nothing) if count and count_nothing else 1.0
    whole = count + weight * count_nothing
    return (right + weight * right_nothing) / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One epoch of a learning curve."""

    epoch: int
    train_loss: float
    validation: float
    """Mean IoU as in :class:`Scores`, on SAM's mask canvas."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionManifest:
    """What a version says of itself; the content of ``manifest.json``."""

    version: str
    base: Base
    parent: str | None
    """The version it began from; ``None``: the base itself."""
    data_digest: str
    """Of the samples it learned from."""
    configuration: Mapping[str, Any]
    measured_on: str
    """Which images the scores are of; see :func:`models.finetuning.examples.split_examples`."""
    serving: Scores
    """Of what it began from, on the same images."""
    candidate: Scores
    """Of this version."""
    curve: Sequence[CurvePoint] = ()
    wall_seconds: float
    created: str
    """UTC, ISO 8601."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Entries of ``engine.json`` that replace those of the base."""

    @property
    def is_better(self) -> bool:
        """Whether it beats what it began from on the images it is measured on."""
        return self.candidate.mean > self.serving.mean

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        record = asdict(self)
        record["scores"] = {"serving": record.pop("serving"), "candidate": record.pop("candidate")}
        return {"format": FORMAT, **record}


def is_version_folder(path: Path) -> bool:
    """Whether a version lies there, whole or damaged."""
    return (path / DELTA_FILE).is_file()


def read_version(path: Path) -> VersionManifest:
    """What a version says of itself.

    Args:
        path: of the folder.

    Raises:
        WeightsError: there is no version, or its manifest is damaged or of another format.
    """
    place = path / VERSION_FILE
    try:
        record = json.loads(place.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{place} cannot be read ({error}); a version's folder holds {VERSION_FILE} and {DELTA_FILE}") from error
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT:
        raise WeightsError(f"{place} is of format {found!r}, expected {FORMAT!r}; this version of Wordmask cannot read it")
    try:
        return _from_json(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{place} does not describe a version ({type(error).__name__}: {error}); train it again") from error


def _from_json(record: Mapping[str, Any]) -> VersionManifest:
    scores = record["scores"]
    return VersionManifest(
        version=str(record["version"]),
        base=Base(**record["base"]),
        parent=record["parent"],
        data_digest=record["data_digest"],
        configuration=dict(record["configuration"]),
        measured_on=record["measured_on"],
        serving=Scores.from_json(scores["serving"]),
        candidate=Scores.from_json(scores["candidate"]),
        curve=[CurvePoint(**point) for point in record["curve"]],
        wall_seconds=record["wall_seconds"],
        created=record["created"],
        engine=dict(record["engine"]),
    )
