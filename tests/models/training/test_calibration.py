"""The presence threshold keeps the answers people need."""

from __future__ import annotations

import numpy as np
import pytest

from models.answer import Answer
from models.evaluation import Expression, Sample
from models.training.calibration import KEPT_TARGETS, calibrate_presence, presence_threshold


class SureEngine:
    """Says a fixed presence for each phrase."""

    def segment_scored(self, image, phrases):
        return [Answer(np.zeros(image.shape[:2], bool), float(phrase), []) for phrase in phrases]


def sample(*expressions: tuple[float, bool]) -> Sample:
    image, there, nowhere = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool), np.zeros((4, 4), bool)
    return Sample("one", image, tuple(Expression(str(p), "name", there if target else nowhere) for p, target in expressions))


def test_the_threshold_keeps_the_stated_share_of_targets():
    presences = np.linspace(0, 1, 1001)
    assert (presences >= presence_threshold(presences)).mean() == pytest.approx(KEPT_TARGETS, abs=0.002)


def test_phrases_without_a_target_have_no_say():
    assert calibrate_presence(SureEngine(), [sample((0.7, True), (0.1, False))]) == pytest.approx(0.7)


def test_phrases_for_several_things_have_no_say():
    there = np.ones((4, 4), bool)
    several = Sample(
        "one", np.zeros((4, 4, 3), np.uint8), tuple(Expression(text, "multi", there) for text in ("the dog and the cat", "0.7"))
    )
    assert calibrate_presence(SureEngine(), [several]) == pytest.approx(0.7)


def test_scenes_without_any_target_are_refused():
    with pytest.raises(ValueError, match="no expression for one target"):
        calibrate_presence(SureEngine(), [sample((0.7, False))])
