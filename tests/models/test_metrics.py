"""The clean protocol: hand-made tables, and random masks against sums written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics import ALL_KINDS, Overlap, ReferringMetrics, bootstrap_interval


def row_mask(start: int, stop: int, width: int = 100) -> np.ndarray:
    """A mask of one row with the pixels start..stop set."""
    mask = np.zeros((1, width), bool)
    mask[0, start:stop] = True
    return mask


NOTHING = row_mask(0, 0)


@pytest.fixture
def hand_made() -> ReferringMetrics:
    metrics = ReferringMetrics()
    metrics.add(row_mask(0, 10), row_mask(0, 10), "name")  # IoU 10/10
    metrics.add(row_mask(0, 10), row_mask(5, 15), "name")  # IoU 5/15
    metrics.add(NOTHING, row_mask(0, 20), "spatial")  # IoU 0/20, missed
    metrics.add(row_mask(0, 16), row_mask(0, 20), "spatial")  # IoU 16/20
    metrics.add(NOTHING, NOTHING, "absent")  # right
    metrics.add(row_mask(0, 3), NOTHING, "absent")  # wrong, 3 pixels
    return metrics


def test_figures_over_targets_follow_their_definitions(hand_made):
    targets = hand_made.table()[ALL_KINDS].targets
    assert targets.n == 4
    assert targets.miou == pytest.approx((1 + 1 / 3 + 0 + 0.8) / 4)
    assert targets.oiou == pytest.approx((10 + 5 + 0 + 16) / (10 + 15 + 20 + 20))
    assert targets.precision == {"0.5": 0.5, "0.6": 0.5, "0.7": 0.5, "0.8": 0.5, "0.9": 0.25}


def test_figures_over_all_expressions_count_right_silence_as_one(hand_made):
    everything = hand_made.table()[ALL_KINDS]
    assert (everything.n, everything.n_no_target) == (6, 2)
    assert everything.giou == pytest.approx((1 + 1 / 3 + 0 + 0.8 + 1 + 0) / 6)
    assert everything.ciou == pytest.approx((10 + 5 + 16) / (10 + 15 + 20 + 20 + 3))
    assert everything.n_acc == 0.5
    assert everything.t_acc == 0.75


def test_each_kind_has_a_row_of_its_own(hand_made):
    table = hand_made.table()
    assert list(table) == [ALL_KINDS, "absent", "name", "spatial"]
    assert table["name"].targets.miou == pytest.approx(2 / 3)
    assert table["spatial"].t_acc == 0.5
    assert table["absent"].targets is None
    assert table["absent"].t_acc is None
    assert table["name"].n_acc is None


def test_a_perfect_mask_is_no_hit_for_n_acc():
    metrics = ReferringMetrics()
    metrics.add(row_mask(0, 10), row_mask(0, 10), "name")
    metrics.add(row_mask(0, 1), NOTHING, "absent")
    assert metrics.table()[ALL_KINDS].n_acc == 0.0


@pytest.mark.parametrize(("pixels", "n_acc"), [(0, 1.0), (1, 0.0), (49, 0.0), (50, 0.0)])
def test_emptiness_means_not_one_pixel_at_original_resolution(pixels, n_acc):
    metrics = ReferringMetrics()
    metrics.add(row_mask(0, pixels), NOTHING, "absent")
    assert metrics.table()[ALL_KINDS].n_acc == n_acc


def test_masks_before_the_decision_are_scored_beside_those_after_it():
    metrics = ReferringMetrics()
    metrics.add(NOTHING, row_mask(0, 10), "name", ungated=row_mask(0, 8))
    metrics.add(NOTHING, NOTHING, "absent", ungated=row_mask(0, 8))
    row = metrics.table()[ALL_KINDS]
    assert row.targets.miou == 0.0
    assert row.targets_ungated.miou == pytest.approx(0.8)
    assert row.targets_ungated.n == 1


def test_random_masks_agree_with_counting_pixel_by_pixel():
    random = np.random.default_rng(5)
    metrics, ious, inter, union = ReferringMetrics(), [], 0, 0
    for _ in range(30):
        prediction, truth = random.random((2, 6, 7)) < random.choice([0.0, 0.4, 0.9], size=(2, 1, 1))
        metrics.add(prediction, truth, "any")
        pairs = list(zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True))
        both, either = sum(p and t for p, t in pairs), sum(p or t for p, t in pairs)
        ious.append(both / either if either else 1.0)
        inter, union = inter + both, union + either
    row = metrics.table()[ALL_KINDS]
    assert row.giou == pytest.approx(np.mean(ious))
    assert row.ciou == pytest.approx(inter / union)


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        pytest.param(np.zeros((2, 3), bool), np.zeros((3, 2), bool), id="other size"),
        pytest.param(np.zeros((2, 3), np.uint8), np.zeros((2, 3), bool), id="not bool"),
    ],
)
def test_masks_that_cannot_be_compared_are_refused(prediction, truth):
    with pytest.raises(ValueError, match="bool masks of one size"):
        Overlap.between(prediction, truth)


def test_the_interval_covers_the_mean_and_shrinks_with_more_values():
    random = np.random.default_rng(0)
    few, many = random.random(20), random.random(2000)
    low_few, high_few = bootstrap_interval(few)
    low_many, high_many = bootstrap_interval(many)
    assert low_few < few.mean() < high_few
    assert high_many - low_many < (high_few - low_few) / 5
    # the textbook interval of a mean of 2000 uniform numbers
    assert high_many - low_many == pytest.approx(2 * 1.96 * many.std() / np.sqrt(2000), rel=0.1)


def test_values_of_one_image_are_drawn_together():
    values = np.repeat(np.random.default_rng(1).random(50), 10)
    images = np.repeat(np.arange(50), 10).tolist()
    low, high = bootstrap_interval(values)
    low_grouped, high_grouped = bootstrap_interval(values, images)
    assert high_grouped - low_grouped > 2 * (high - low)


def test_the_interval_is_the_same_each_time():
    values = np.random.default_rng(2).random(30)
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval([])
