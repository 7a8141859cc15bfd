"""The lines of a report: what they say, how they are counted, and when the first one ends the work."""

from __future__ import annotations

import json

import pytest

from backend.findings import SHOWN_PER_KIND, Finding, Findings, FirstFindingStops, Severity, place


def finding(severity: Severity = "error", kind: str = "unknown-label", region: str = "r1") -> Finding:
    return Finding(severity, kind, place(task=7, annotation=None, region=region), "the label is 'Cow'", "left out; add it to the config")


def test_a_line_names_the_place_the_mistake_and_what_was_done() -> None:
    assert str(finding()) == "error: task 7, region r1: the label is 'Cow'; left out; add it to the config"


def test_ids_that_somebody_chose_stay_one_line_of_printable_text() -> None:
    assert str(finding(region="a\n\x1b[31mb" + "x" * 500)).isprintable()
    assert place(task="x" * 500)[0][1] == "x" * 97 + "..."


def test_a_report_holds_the_ids_under_their_names() -> None:
    told = json.loads(json.dumps(finding().to_json()))
    assert (told["task"], told["region"], told["kind"]) == (7, "r1", "unknown-label")
    assert "annotation" not in told


def test_findings_are_counted_passed_on_and_shown_worst_first() -> None:
    heard: list[Finding] = []
    findings = Findings(on_finding=heard.append)
    findings.add(finding("note", "cancelled"))
    for number in range(SHOWN_PER_KIND + 2):
        findings.add(finding(region=f"r{number}"))
    lines = findings.lines()
    assert len(heard) == SHOWN_PER_KIND + 3
    assert [line.split(":")[0] for line in lines] == ["error"] * (SHOWN_PER_KIND + 1) + ["note"]
    assert lines[SHOWN_PER_KIND] == "error: ... and 2 more of the kind unknown-label"
    assert findings.to_json() == {"errors": 7, "warnings": 0, "notes": 1, "kinds": {"error: unknown-label": 7, "note: cancelled": 1}}


@pytest.mark.parametrize(("severity", "lost"), [("note", False), ("warning", False), ("error", True)])
def test_only_an_error_means_that_something_is_missing(severity: Severity, lost: bool) -> None:
    findings = Findings()
    findings.add(finding(severity))
    assert findings.lost_something is lost


def test_strict_stops_at_the_first_finding_that_is_more_than_a_note() -> None:
    findings = Findings(strict=True)
    findings.add(finding("note"))
    with pytest.raises(FirstFindingStops, match=r"task 7, region r1.*--strict"):
        findings.add(finding("warning"))
