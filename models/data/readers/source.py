"""What a reader of data sets is given, and what it has to tell: where the files are, who hears of mistakes in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_LONGEST_VALUE = 100


class DatasetReadError(ValueError):
    """Nothing at all can be read; what was found, expected, and to be done."""


@dataclass(frozen=True, slots=True)
class ReaderRemark:
    """One thing in a data set that is not as it should be.

    Args:
        severity: ``error``: left out, as it cannot be used. ``warning``: kept, but not as it was found.
        kind: a short name by which remarks are counted.
        where: ids of what it is about, by name.
        what: what was found and what was expected.
        action: what was done, and what a person can do.
    """

    severity: Literal["warning", "error"]
    kind: str
    where: Mapping[str, Any]
    what: str
    action: str


def shown(value: Any) -> str:
    """A value from a file in a few words; a structure only by its type, as it may hold itself."""
    if isinstance(value, (str, bytes)):
        return repr(value[:_LONGEST_VALUE])
    if isinstance(value, int) and value.bit_length() > _LONGEST_VALUE:
        return "a huge number"
    return str(value) if value is None or isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _ignore(*_: Any) -> None:
    pass


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """A data set in its original files.

    Args:
        path: its file or folder.
        on_remark: told of every mistake; may raise to stop the reading.
        on_progress: told what is read, and how many of how many bytes of it.
        split: of all samples, where the format itself names none.
        split_by: which of several divisions into splits, e.g. ``unc``; ``None`` where there is only one.
    """

    path: Path
    on_remark: Callable[[ReaderRemark], None] = _ignore
    on_progress: Callable[[str, int, int], None] = _ignore
    split: str | None = None
    split_by: str | None = None

    def lost(self, kind: str, what: str, action: str = "left out", **where: Any) -> None:
        """Tell of something that is left out."""
        self.on_remark(ReaderRemark("error", kind, where, what, action))

    def changed(self, kind: str, what: str, action: str, **where: Any) -> None:
        """Tell of something that is kept, but not as it was found."""
        self.on_remark(ReaderRemark("warning", kind, where, what, action))
