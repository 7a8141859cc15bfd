"""What an export or an import has to tell about its data: one line for everything that was left out or changed.

Nothing is dropped in silence. Every finding is counted and may be written to a report as it comes, so that any number of them takes no
memory; the first few of each kind are kept to be shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.errors import LONGEST_MESSAGE, BackendError

Severity = Literal["note", "warning", "error"]
"""``note``: left out because it was meant to be. ``warning``: kept, but not as it was found. ``error``: left out, as it cannot be used."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first."""

SHOWN_PER_KIND = 5
_LONGEST_ID = 100

Place = tuple[tuple[str, int | str], ...]
"""Where something was found, from the outside in: ``(("task", 7), ("region", "a1"))``."""


def place(**ids: Any) -> Place:
    """A place from ids by name; ids that are ``None`` are left out, and what is neither a number nor a text is shown as text."""
    known = (
        (name, value if type(value) is int else _printable(str(value), _LONGEST_ID)) for name, value in ids.items() if value is not None
    )
    return tuple(known)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Args:
        severity: whether it was meant, changed something, or lost something.
        kind: a short name by which findings are counted, such as ``unknown-label``.
        where: ids of what it is about.
        what: what was found and what was expected.
        action: what was done, and what a person can do.
    """

    severity: Severity
    kind: str
    where: Place
    what: str
    action: str

    def __str__(self) -> str:
        ids = ", ".join(f"{name} {value}" for name, value in self.where)
        return f"{self.severity}: {ids + ': ' if ids else ''}{_printable(self.what)}; {self.action}"

    def to_json(self) -> dict[str, Any]:
        """As an entry of a report; the ids stand under their names."""
        told = {"severity": self.severity, "kind": self.kind}
        return told | dict(self.where) | {"what": _printable(self.what), "action": self.action}


class FirstFindingStops(BackendError):  # noqa: N818 - says what happens
    """With ``--strict`` the first warning or error ends the work; this is its line."""

    status = 422
    code = "strict"


@dataclass(slots=True)
class Findings:
    """Counts findings, keeps the first of each kind, and passes every one on.

    Args:
        strict: raise :class:`FirstFindingStops` at the first warning or error.
        on_finding: told of every finding, in order.
    """

    strict: bool = False
    on_finding: Callable[[Finding], object] | None = None
    counts: Counter[tuple[Severity, str]] = field(default_factory=Counter)
    first: dict[tuple[Severity, str], list[Finding]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Count one finding.

        Raises:
            FirstFindingStops: it is more than a note, and the work is strict.
        """
        key = finding.severity, finding.kind
        self.counts[key] += 1
        shown = self.first.setdefault(key, [])
        if len(shown) < SHOWN_PER_KIND:
            shown.append(finding)
        if self.on_finding is not None:
            self.on_finding(finding)
        if self.strict and finding.severity != "note":
            raise FirstFindingStops(f"{finding} (stopped by --strict)")

    def number(self, severity: Severity) -> int:
        """How many findings of a severity there were."""
        return sum(count for (found, _), count in self.counts.items() if found == severity)

    @property
    def lost_something(self) -> bool:
        """Whether anything was left out that should not have been."""
        return self.number("error") > 0

    def lines(self) -> list[str]:
        """The report for people: worst first, the first few of each kind, then how many more there are."""
        told: list[str] = []
        for severity in SEVERITIES:
            for key in sorted(key for key in self.first if key[0] == severity):
                told += map(str, self.first[key])
                more = self.counts[key] - len(self.first[key])
                if more:
                    told.append(f"{severity}: ... and {more} more of the kind {key[1]}")
        return told

    def to_json(self) -> dict[str, Any]:
        """Numbers by severity and by kind."""
        by_severity = {f"{severity}s": self.number(severity) for severity in SEVERITIES}
        return by_severity | {"kinds": {f"{severity}: {kind}": count for (severity, kind), count in sorted(self.counts.items())}}


def _printable(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """One line of printable characters: ids and labels are chosen by whoever writes the data."""
    shown = text if len(text) <= longest else text[: longest - 3] + "..."
    return shown if shown.isprintable() else "".join(character if character.isprintable() else " " for character in shown)
