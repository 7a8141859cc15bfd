"""The presence threshold follows what the network has become, where there is enough to tell."""

from __future__ import annotations

import numpy as np

from models.finetuning.threshold import FEWEST, choose_threshold
from models.finetuning.validation import Judged
from models.version_folder import fair_mean


def expressions(something: float, nothing: float, count: int = 20) -> list[Judged]:
    """Presence of those that refer to something, and to nothing, spread by a tenth around these."""
    spread = np.linspace(-0.05, 0.05, count)
    return [Judged(something + s, 0.7, False) for s in spread] + [Judged(nothing + s, 0.0, True) for s in spread]


def test_it_separates_what_is_there_from_what_is_not() -> None:
    assert 0.45 < choose_threshold(expressions(0.75, 0.4), [], current=0.3) <= 0.7


def test_it_stays_where_it_is_when_that_is_as_good() -> None:
    assert choose_threshold(expressions(0.9, 0.1), [], current=0.41) == 0.41


def test_it_does_not_run_after_a_difference_that_says_nothing() -> None:
    # One of forty expressions would be answered better a little higher: that is luck, and every move is paid for elsewhere.
    almost = [*expressions(0.9, 0.1), Judged(0.45, 0.0, True)]
    assert choose_threshold(almost, [], current=0.4) == 0.4


def test_both_domains_have_a_say() -> None:
    own, base = expressions(0.5, 0.3), expressions(0.8, 0.6)
    assert 0.35 < choose_threshold(own, [], current=0.4) <= 0.45
    # There, every "nothing" of the base would be answered, which costs more than the own "something" gains.
    assert 0.6 < choose_threshold(own, base, current=0.4) <= 0.75


def test_too_few_to_tell_change_nothing() -> None:
    few, enough = expressions(0.75, 0.4, FEWEST - 1), expressions(0.75, 0.4)
    assert choose_threshold(few, [], current=0.3) == 0.3
    # The base's domain alone has no say: nothing is known yet of what changed.
    assert choose_threshold(few, enough, current=0.3) == 0.3
    assert choose_threshold(enough, few, current=0.3) == choose_threshold(enough, [], current=0.3)


def test_labels_that_an_image_lacks_count_together_no_more_than_what_it_shows() -> None:
    assert fair_mean((1.0, 2), (48.0, 48)) == 0.75
    assert fair_mean((4.0, 8), (2.0, 2)) == 0.6
    assert fair_mean((0.0, 0), (3.0, 4)) == 0.75
    assert fair_mean((0.0, 0), (0.0, 0)) == 0.0
