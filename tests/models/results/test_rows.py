"""Rows: what was measured on one expression goes to the file and back, with masks that can be drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.evaluation import Asked, Expression, Sample
from models.metrics import Overlap
from models.results.rows import DRAWN_SIDE, ExpressionRow, drawn_size, expression_rows, from_drawn, to_drawn
from tests.factories import make_image, make_mask, make_segment

TRUTH, FOUND = make_mask(box=(0, 0, 10, 10)), make_mask(box=(5, 0, 15, 10))


@pytest.fixture
def row() -> ExpressionRow:
    sample = Sample("a.png", make_image(), (Expression("dog", "name", TRUTH, ("dog",)),))
    segment = make_segment(score=0.75, mask=FOUND)
    (only,) = expression_rows(sample, [Asked([segment], FOUND, TRUTH, 0.5)])
    return only


def test_a_row_counts_pixels_under_both_protocols(row):
    assert row.clean == Overlap(50, 100, 100)
    assert row.ungated == Overlap(100, 100, 100)
    scale = (512 / 64) ** 2
    assert row.official.predicted == pytest.approx(100 * scale, rel=0.05)
    assert row.official.truth > 100 * scale, "the official ground truth is enlarged"
    assert (row.score, row.presence) == (0.75, 0.5)


def test_a_row_survives_the_file(row):
    assert ExpressionRow.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_an_answer_without_segments_has_score_zero():
    sample = Sample("a.png", make_image(), (Expression("dog", "name", TRUTH),))
    (only,) = expression_rows(sample, [Asked([], np.zeros_like(TRUTH), None, None)])
    assert (only.score, only.presence, only.ungated, only.clean.predicted) == (0.0, None, None, 0)


def test_masks_of_small_images_are_kept_as_they_are(row):
    assert np.array_equal(from_drawn(row.truth_drawn), TRUTH)


def test_masks_of_large_images_are_kept_small():
    mask = make_mask((1000, 2000), (0, 0, 1000, 500))
    small = from_drawn(to_drawn(mask))
    assert small.shape == drawn_size(mask.shape) == (DRAWN_SIDE // 2, DRAWN_SIDE)
    assert small.mean() == pytest.approx(mask.mean(), abs=0.01)


def test_a_thin_line_stays_visible():
    mask = make_mask((1000, 2000), (0, 400, 2000, 401))
    assert from_drawn(to_drawn(mask)).any()
