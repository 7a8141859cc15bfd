"""The curves of the report: each against figures that are known."""

from __future__ import annotations

import numpy as np
import pytest

from models.report.curves import bars_of, presence_of, share_above
from tests.evaluation_world import make_row

THERE, NOT_THERE = (5, 10, 10), (0, 0, 0)
ANSWERED = (0, 10, 0)


def test_the_share_above_a_threshold_is_precision_at_that_threshold():
    points = dict(share_above([0.2, 0.5, 0.5, 0.9]))
    assert points[0.0] == 1.0
    assert points[0.5] == 0.75
    assert points[0.9] == 0.25
    assert points[1.0] == 0.0
    assert share_above([]) == []


def test_bars_hold_every_value_once():
    bars, highest = bars_of([0.0, 0.0, 0.51, 1.0])
    assert [bar.count for bar in bars if bar.count] == [2, 1, 1]
    assert highest == 2
    assert bars[0].share == 1.0
    assert bars[-1].label == "0.95 to 1.00"


def test_presence_is_judged_as_a_decision_at_every_threshold():
    rows = [
        make_row(THERE, presence=0.9),
        make_row(ANSWERED, presence=0.8),
        make_row(THERE, presence=0.4),
        make_row(NOT_THERE, presence=0.1),
    ]
    presence = presence_of(rows)
    assert presence.curve == [(0.5, 1.0), (0.5, 0.5), (1.0, 2 / 3), (1.0, 0.5)]
    assert presence.average_precision == pytest.approx(0.5 * 1.0 + 0.5 * 2 / 3)
    assert presence.decision == (1.0, 2 / 3)


def test_expressions_of_equal_presence_are_one_point():
    presence = presence_of([make_row(THERE, presence=0.5), make_row(NOT_THERE, presence=0.5), make_row(THERE, presence=0.5)])
    assert presence.curve == [(1.0, 2 / 3)]


def test_calibration_compares_what_was_said_with_what_was():
    rows = [make_row(THERE, presence=0.95)] * 3 + [make_row(ANSWERED, presence=0.95)] + [make_row(NOT_THERE, presence=0.05)] * 4
    presence = presence_of(rows)
    assert presence.calibration == [(pytest.approx(0.05), 0.0), (pytest.approx(0.95), 0.75)]
    assert presence.calibration_error == pytest.approx(0.5 * 0.05 + 0.5 * 0.2)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([make_row(THERE), make_row(NOT_THERE)], id="an engine that does not say"),
        pytest.param([make_row(THERE, presence=0.5)], id="something everywhere"),
        pytest.param([make_row(NOT_THERE, presence=0.5)], id="nothing anywhere"),
    ],
)
def test_there_is_no_curve_without_both_cases(rows):
    assert presence_of(rows) is None


def test_long_curves_are_thinned_and_keep_their_ends():
    scores = np.linspace(1, 0, 5000)
    presence = presence_of([make_row(THERE if number % 2 else NOT_THERE, presence=score) for number, score in enumerate(scores.tolist())])
    assert len(presence.curve) < 500
    assert presence.curve[-1] == (1.0, 0.5)
