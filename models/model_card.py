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

from models.figures import LEGEND, Figures, figure_tables

BEGIN = "<!-- figures: begin (written by `wordmask evaluate --write`) -->"
END = "<!-- figures: end -->"


class ModelCardError(ValueError):
    """The card has no place for figures, or some that cannot be read."""


class ModelCard:
    """A Markdown file with a place for figures.

    Args:
        path: of the file.

    Raises:
        ModelCardError: the file is missing, has no place for figures, or its figures cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _, block = self._read()
        found = re.search(r"```json\n(.*?)```", block, re.DOTALL)
        try:
            self.figures: Figures = json.loads(found[1]) if found else {"version": None, "splits": {}}
        except json.JSONDecodeError as error:
            raise ModelCardError(f"the figures in {path} are not JSON ({error}); empty the block and write them anew") from error

    def write(self, version: str, splits: Mapping[str, Figures]) -> None:
        """Put figures into the card; those of other splits stay if they are of the same weights, prose stays as it is by now.

        Args:
            version: of the weights that were measured.
            splits: by name, as from :meth:`models.figures.SplitScores.to_json`.
        """
        kept = self.figures["splits"] if self.figures["version"] == version else {}
        self.figures = {"version": version, "splits": {**kept, **splits}}
        tables = [part for name, figures in self.figures["splits"].items() for part in _markdown_of(name, figures)]
        data = json.dumps(self.figures, indent=1)
        block = "\n\n".join([f"\nWeights: `{version}`. {LEGEND}", *tables, f"```json\n{data}\n```\n"])
        text, old = self._read()  # anew: an evaluation takes minutes, in which people write
        self._path.write_text(text.replace(f"{BEGIN}{old}{END}", f"{BEGIN}{block}{END}"), encoding="utf-8")

    def _read(self) -> tuple[str, str]:
        """The card as it is now: all of it, and the place for figures."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except OSError as error:
            raise ModelCardError(f"cannot read the model card {self._path}: {error.strerror}") from error
        return text, _block_of(text, self._path)

    def differences(self, version: str, splits: Mapping[str, Figures], tolerance: float) -> list[str]:
        """Sentences on what differs between the card and what was measured; none if all agree.

        Args:
            version: of the weights that were measured.
            splits: what was measured; other splits of the card are not looked at.
            tolerance: largest difference of a figure; counts must be equal, intervals are not compared.
        """
        found = []
        if self.figures["version"] != version:
            found.append(f"the card is about weights {self.figures['version']}, measured were {version}")
        for name, measured in splits.items():
            quoted = self.figures["splits"].get(name)
            if quoted is None:
                found.append(f"{name}: not in the card")
            elif quoted["scenes"] != measured["scenes"]:
                found.append(f"{name}: the card's figures are of {quoted['scenes']} scenes, measured were {measured['scenes']}")
            else:
                found += [f"{name}: {line}" for line in _differences(quoted, measured, tolerance)]
        return found


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


def _block_of(text: str, card: Path) -> str:
    _, begin, rest = text.partition(BEGIN)
    block, end, _ = rest.partition(END)
    if not begin or not end:
        raise ModelCardError(f"{card} has no place for figures; add the lines {BEGIN!r} and {END!r}")
    return block


def _markdown_of(name: str, figures: Figures) -> list[str]:
    heading = f"### {name} ({figures['scenes']} scenes)"
    return [heading, *(_markdown_table(header, rows) for header, rows in figure_tables(figures))]


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))
