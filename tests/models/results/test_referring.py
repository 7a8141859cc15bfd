"""Both protocols from rows: the authors' table of cases, tables by kind and label, and the same figures as sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics import ALL_KINDS
from models.results.figure_sums import FIGURES, FigureSums
from models.results.referring import CLEAN, OFFICIAL, clean_figures, official_figures, referring_figures
from models.results.rows import ExpressionRow
from tests.evaluation_world import make_row

HALF = make_row((200, 300, 300), place=1)
"""A target with IoU 200 / 400, beside which other rows are measured."""


@pytest.mark.parametrize(
    ("counts", "iou", "intersection", "union"),
    [
        pytest.param((150, 200, 300), 150 / 350, 150, 350, id="target: I/U, and I, U to the totals"),
        pytest.param((0, 0, 0), 1.0, 0, 0, id="no target, nothing predicted: 1, and nothing to the totals"),
        pytest.param((0, 49, 0), 1.0, 0, 0, id="no target, 49 pixels: 1, and nothing to the totals"),
        pytest.param((0, 50, 0), 0.0, 0, 50, id="no target, 50 pixels: 0, and U to the totals"),
    ],
)
def test_the_official_protocol_follows_the_authors_table(counts, iou, intersection, union):
    figures = official_figures([make_row((0, 0, 300), official=counts), HALF])
    assert figures["miou"] == figures["giou"] == pytest.approx((iou + 0.5) / 2, abs=1e-4)
    assert figures["oiou"] == figures["ciou"] == pytest.approx((intersection + 200) / (union + 400), abs=1e-4)


def test_the_protocols_look_at_their_own_counts():
    row = make_row((5, 10, 10), official=(40, 80, 80))
    assert referring_figures([row])[CLEAN]["by_kind"][ALL_KINDS]["oiou"] == pytest.approx(5 / 15, abs=1e-4)
    assert referring_figures([row])[OFFICIAL]["by_kind"][ALL_KINDS]["oiou"] == pytest.approx(40 / 120, abs=1e-4)


def test_a_few_pixels_are_a_false_alarm_in_one_protocol_and_nothing_in_the_other():
    row = make_row((0, 20, 0))
    assert clean_figures([row])["n_acc"] == 0.0
    assert official_figures([row])["n_acc"] == 1.0


def test_kinds_and_labels_have_rows_of_their_own():
    rows = [
        make_row((10, 10, 10), kind="name", labels=("dog",), image="a"),
        make_row((5, 10, 10), kind="name", labels=("cat", "dog"), image="b"),
        make_row((0, 0, 0), kind="absent", labels=(), image="b", place=1),
    ]
    tables = referring_figures(rows)[CLEAN]
    assert {name: row["n"] for name, row in tables["by_kind"].items()} == {"all": 3, "absent": 1, "name": 2}
    assert {name: row["n"] for name, row in tables["by_label"].items()} == {"cat": 1, "dog": 2}
    assert tables["by_label"]["dog"]["miou"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-4)
    assert tables["by_kind"]["absent"]["miou"] is None


def test_few_images_give_no_interval_however_many_expressions():
    rows = [make_row((5, 10, 10), image=f"{place % 4}.png", place=place) for place in range(40)]
    assert clean_figures(rows)["miou_ci"] is None
    assert official_figures(rows)["miou_ci"] is None
    assert clean_figures([*rows, make_row(image="4.png")])["miou_ci"] is not None


def _counts() -> st.SearchStrategy[tuple[int, int, int]]:
    sizes = st.tuples(st.integers(0, 200), st.one_of(st.just(0), st.integers(1, 200)))
    return sizes.flatmap(lambda two: st.integers(0, min(two)).map(lambda both: (both, *two)))


@settings(deadline=None)
@given(st.lists(st.tuples(_counts(), _counts()), min_size=1, max_size=12))
def test_figures_as_sums_equal_those_of_the_tables(pairs):
    rows: list[ExpressionRow] = [make_row(clean, official=official, place=place) for place, (clean, official) in enumerate(pairs)]
    for protocol, table in ((CLEAN, clean_figures(rows)), (OFFICIAL, official_figures(rows))):
        sums = dict(zip(FIGURES, FigureSums.of(rows, protocol).figures(), strict=True))
        for name in FIGURES:
            expected = (table["precision"] or {}).get(name.removeprefix("pr@")) if name.startswith("pr@") else table[name]
            if expected is None:
                assert np.isnan(sums[name]), name
            else:
                assert sums[name] == pytest.approx(expected, abs=6e-5), name
