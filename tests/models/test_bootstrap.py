"""Resampling: reproducible, paired, by group, and in parts that do not change the result."""

from __future__ import annotations

import numpy as np
import pytest

from models import bootstrap
from models.bootstrap import draws, interval_of, resampled_sums


def test_drawing_in_parts_changes_nothing(monkeypatch):
    whole = np.concatenate(list(draws(7, resamples=20)))
    monkeypatch.setattr(bootstrap, "_MOST_COUNTS", 21)
    parts = list(draws(7, resamples=20))
    assert [len(part) for part in parts] == [3, 3, 3, 3, 3, 3, 2]
    assert np.array_equal(np.concatenate(parts), whole)


def test_every_draw_takes_as_many_groups_as_there_are():
    assert (np.concatenate(list(draws(5))).sum(axis=1) == 5).all()


def test_equal_columns_get_equal_sums():
    values = np.random.default_rng(0).random(30)
    sums = resampled_sums(np.stack([values, values], axis=1), ["a", "b", "c"] * 10)
    assert np.array_equal(sums[:, 0], sums[:, 1])


def test_rows_of_one_group_come_together():
    sums = resampled_sums([[1.0], [10.0], [1.0], [10.0]], ["one", "two", "one", "two"])
    assert set(sums[:, 0]) == {4.0, 22.0, 40.0}


def test_undefined_figures_are_left_out_of_an_interval():
    assert interval_of([np.nan, 1.0, 1.0]) == (1.0, 1.0)
    assert interval_of([np.nan]) is None


@pytest.mark.parametrize(
    ("values", "groups"), [pytest.param([], None, id="nothing"), pytest.param([[1.0]], ["a", "b"], id="a group too many")]
)
def test_values_and_groups_must_fit(values, groups):
    with pytest.raises(ValueError, match="at least one value and a group for each"):
        resampled_sums(values, groups)
