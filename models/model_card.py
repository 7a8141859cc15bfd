"""The figures in a model card: a block between two markers, for people and programs, written and checked by evaluation.

The block holds tables and one JSON object ``{"version": ..., "splits": {name: figures}}``; everything else in the card is prose
that this module never touches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.figures import LEGEND, PROMPT_HEADER, REFERRING_HEADER, Figures, prompt_rows, referring_rows

BEGIN = "<!-- figures: begin (written by `wordmask evaluate --write`) -->"
END = "<!-- figures: end -->"

_JSON = re.compile(r"```json\n(.*?)```", re.DOTALL)


class ModelCardError(ValueError):
    """The card has no block of figures, or one that cannot be read."""


def read_figures(card: Path) -> Figures:
    """The JSON object of the card's block; without splits if nothing was written yet.

    Raises:
        ModelCardError: the file is missing, has no block, or the block's JSON cannot be read.
    """
    found = _JSON.search(_block_of(_read(card), card))
    try:
        figures: Figures = json.loads(found[1]) if found else {"version": None, "splits": {}}
    except json.JSONDecodeError as error:
        raise ModelCardError(f"the figures in {card} are not JSON ({error}); empty the block and write them anew") from error
    return figures


def write_figures(card: Path, version: str, splits: Mapping[str, Figures]) -> None:
    """Put figures into the card's block; those of other splits stay if they are of the same weights.

    Args:
        card: a Markdown file that holds the two markers.
        version: of the weights that were measured.
        splits: by name, as from :meth:`models.figures.SplitScores.to_json`.

    Raises:
        ModelCardError: the file is missing, has no block, or the block's JSON cannot be read.
    """
    old = read_figures(card)
    kept = old["splits"] if old["version"] == version else {}
    all_splits: Figures = kept | dict(splits)
    tables = [part for name, split in all_splits.items() for part in _tables(name, split)]
    data = json.dumps({"version": version, "splits": all_splits}, indent=1)
    block = "\n\n".join([f"Weights: `{version}`. {LEGEND}", *tables, f"```json\n{data}\n```"])
    text = _read(card)
    card.write_text(text.replace(f"{BEGIN}{_block_of(text, card)}{END}", f"{BEGIN}\n{block}\n{END}"), encoding="utf-8")


def compare_figures(card: Figures, version: str, splits: Mapping[str, Figures], tolerance: float) -> list[str]:
    """Sentences on what differs between the card and what was measured; none if all agree.

    Args:
        card: as from :func:`read_figures`.
        version: of the weights that were measured.
        splits: what was measured; other splits of the card are not looked at.
        tolerance: largest difference of a figure; counts must be equal, intervals are not compared.
    """
    differences = []
    if card["version"] != version:
        differences.append(f"the card is about weights {card['version']}, measured were {version}")
    for name, measured in splits.items():
        quoted = card["splits"].get(name)
        if quoted is None:
            differences.append(f"{name}: not in the card")
        elif quoted["scenes"] != measured["scenes"]:
            differences.append(f"{name}: the card's figures are of {quoted['scenes']} scenes, measured were {measured['scenes']}")
        else:
            differences += [f"{name}: {line}" for line in _differences(quoted, measured, tolerance)]
    return differences


def _differences(quoted: Figures, measured: Figures, tolerance: float) -> Iterator[str]:
    theirs, ours = dict(_leaves(quoted)), dict(_leaves(measured))
    for path in sorted(theirs.keys() | ours.keys()):
        there, here = theirs.get(path), ours.get(path)
        if isinstance(here, float) and isinstance(there, float) and abs(here - there) <= tolerance:
            continue
        if here != there:
            yield f"{path} is {there} in the card, measured {here}"


def _leaves(figures: Figures, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        elif not isinstance(value, list):
            yield f"{path}{key}", value


def _read(card: Path) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelCardError(f"cannot read the model card {card}: {error.strerror}") from error


def _block_of(text: str, card: Path) -> str:
    _, begin, rest = text.partition(BEGIN)
    block, end, _ = rest.partition(END)
    if not begin or not end:
        raise ModelCardError(f"{card} has no place for figures; add the lines {BEGIN!r} and {END!r}")
    return block


def _tables(name: str, figures: Figures) -> list[str]:
    parts = [f"### {name} ({figures['scenes']} scenes)", _markdown(REFERRING_HEADER, referring_rows(figures))]
    return parts + ([_markdown(PROMPT_HEADER, prompt_rows(figures))] if figures["prompts"] else [])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))
