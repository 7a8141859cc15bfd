"""The figures of an evaluation: as plain values for JSON and as rows of text for tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.evaluation import PromptScores
from models.metrics import ReferringScores

Figures = dict[str, Any]
"""Plain values as they stand in JSON."""

_DECIMALS = 4
PROMPT_NAMES = {"point": "random inner point", "centre_point": "deepest point", "box": "box"}

REFERRING_HEADER = ("kind", "n", "mIoU", "95 % CI", "Pr@.5", "Pr@.9", "gated mIoU", "gIoU", "N-acc", "T-acc")
PROMPT_HEADER = ("prompt", "n", "mIoU", "95 % CI", "Pr@.5", "Pr@.9")
LEGEND = (
    "mIoU and Pr@X: over expressions that refer to something, with the mask before the model decides whether anything is there; "
    "gated mIoU: after it. gIoU: over all expressions, after it. N-acc: share of expressions that refer to nothing and got nothing. "
    "T-acc: share of the others that got something. n counts both. CI: bootstrap over images. oIoU, cIoU and more stand in the JSON."
)


@dataclass(frozen=True, slots=True)
class SplitScores:
    """Everything measured on one split."""

    scenes: int
    referring: dict[str, ReferringScores]
    prompts: PromptScores | None

    def to_json(self) -> Figures:
        """Plain values, rounded to what the sample sizes can tell apart."""
        values: Figures = rounded(asdict(self))
        return values


def rounded(value: Any) -> Any:
    """Plain values with every float rounded to :data:`_DECIMALS`, in whatever lists and mappings it stands; tuples become lists."""
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


Table = tuple[Sequence[str], list[tuple[str, ...]]]
"""Header and rows of text."""


def figure_tables(figures: Figures) -> list[Table]:
    """The figures of a split as tables: words by kind and, where objects were clicked at, clicks and boxes."""
    tables: list[Table] = [(REFERRING_HEADER, referring_rows(figures))]
    return [*tables, (PROMPT_HEADER, prompt_rows(figures))] if figures["prompts"] else tables


def referring_rows(figures: Figures) -> list[tuple[str, ...]]:
    """One row of text per kind of expression, under :data:`REFERRING_HEADER`; ``figures`` as from :meth:`SplitScores.to_json`."""
    return [_referring_row(kind, row) for kind, row in figures["referring"].items()]


def prompt_rows(figures: Figures) -> list[tuple[str, ...]]:
    """One row of text per kind of prompt, under :data:`PROMPT_HEADER`."""
    return [(PROMPT_NAMES[kind], str(row["n"]), *_mask_cells(row)) for kind, row in figures["prompts"].items()]


def _referring_row(kind: str, row: Figures) -> tuple[str, ...]:
    gated = row["targets"] and row["targets"]["miou"]
    rest = (gated, row["giou"], row["n_acc"], row["t_acc"])
    return (kind, str(row["n"]), *_mask_cells(row["targets_ungated"] or row["targets"]), *map(_cell, rest))


def _mask_cells(masks: Figures | None) -> tuple[str, ...]:
    if masks is None:
        return ("-",) * 4
    low, high = masks["miou_ci"]
    precision = masks["precision"]
    return _cell(masks["miou"]), f"{low:.3f}-{high:.3f}", _cell(precision["0.5"]), _cell(precision["0.9"])


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
