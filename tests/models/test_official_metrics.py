"""The authors' protocol on the padded 512 x 512 square, with its 50-pixel rule and both pairs of N-acc and T-acc."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics import Overlap
from models.official_metrics import OfficialMetrics, official_iou, pad_ground_truth, pad_prediction


def pixels(count: int, first: int = 0) -> np.ndarray:
    """A mask on the square with ``count`` pixels set, from pixel ``first`` on in reading order."""
    mask = np.zeros(512 * 512, bool)
    mask[first : first + count] = True
    return mask.reshape(512, 512)


@pytest.mark.parametrize(
    ("predicted", "iou", "union"),
    [
        pytest.param(0, 1.0, 0, id="nothing predicted"),
        pytest.param(49, 1.0, 0, id="49 pixels still count as nothing"),
        pytest.param(50, 0.0, 50, id="50 pixels count as something"),
    ],
)
def test_without_a_target_fewer_than_fifty_pixels_are_right(predicted, iou, union):
    metrics = OfficialMetrics()
    metrics.add(pixels(predicted), pixels(0))
    metrics.add(pixels(100), pixels(200))
    scores = metrics.scores()
    assert official_iou(Overlap.between(pixels(predicted), pixels(0))) == iou
    assert scores.miou == pytest.approx((iou + 0.5) / 2)
    assert scores.oiou == pytest.approx(100 / (200 + union))
    assert scores.n_acc == iou


def test_the_official_code_counts_a_perfect_mask_as_a_no_target_hit_and_the_clean_formula_does_not():
    metrics = OfficialMetrics()
    metrics.add(pixels(300), pixels(300))  # target, IoU 1
    metrics.add(pixels(300), pixels(300, first=1000))  # target, IoU 0, but something was predicted
    metrics.add(pixels(150), pixels(300))  # target, IoU 0.5
    metrics.add(pixels(10), pixels(0))  # no target, right
    metrics.add(pixels(60), pixels(0))  # no target, wrong
    scores = metrics.scores()
    assert scores.n_acc_official_code == 1.0  # (perfect + right) / 2 no-target
    assert scores.t_acc_official_code == pytest.approx(1 / 3)  # only 0.5 lies strictly between
    assert scores.n_acc == 0.5
    assert scores.t_acc == 1.0


def test_a_target_is_missed_with_fewer_than_fifty_pixels():
    metrics = OfficialMetrics()
    metrics.add(pixels(49), pixels(300))
    metrics.add(pixels(50), pixels(300))
    assert metrics.scores().t_acc == 0.5


def test_precision_has_nine_steps_and_includes_its_threshold():
    metrics = OfficialMetrics()
    metrics.add(pixels(55), pixels(100))
    precision = metrics.scores().precision
    assert list(precision) == ["0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9"]
    assert list(precision.values()) == [1.0, 1.0] + [0.0] * 7


def test_the_ground_truth_grows_and_the_prediction_keeps_its_area():
    mask = np.zeros((200, 300), bool)
    mask[40:160, 60:240] = True
    scale = (512 / 300) ** 2
    assert pad_prediction(mask).sum() == pytest.approx(mask.sum() * scale, rel=0.005)
    assert 1.01 < pad_ground_truth(mask).sum() / (mask.sum() * scale) < 1.03


def test_padding_lies_right_and_below():
    square = pad_ground_truth(np.ones((100, 400), bool))
    assert square.shape == (512, 512)
    assert square[:128].all()
    assert not square[128:].any()


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match="pad them first"):
        OfficialMetrics().add(np.zeros((64, 64), bool), np.zeros((64, 64), bool))


def test_summing_up_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to sum up"):
        OfficialMetrics().scores()
