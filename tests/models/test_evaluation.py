"""Evaluation asks an engine the right questions and scores its answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.answer import Answer
from models.evaluation import (
    Expression,
    Sample,
    centre_point,
    evaluate_prompts,
    evaluate_referring,
    random_inner_point,
)
from models.metrics import ALL_KINDS
from models.types import RgbImage
from tests.factories import FakeEngine, fake_mask, make_image, make_mask

NOTHING = np.zeros((48, 64), bool)
SQUARE = make_mask(box=(10, 20, 15, 25))


def make_sample(*expressions: Expression, objects: tuple[np.ndarray, ...] = (), name: str = "scene") -> Sample:
    return Sample(name, make_image(), expressions, objects)


def test_all_expressions_of_an_image_are_asked_at_once():
    engine = FakeEngine()
    evaluate_referring(engine, [make_sample(Expression("dog", "name", SQUARE), Expression("red cat", "colour", SQUARE))])
    assert engine.calls == [("segment", ["dog", "red cat"])]


def test_an_image_without_expressions_is_not_asked_about():
    engine = FakeEngine()
    assert evaluate_referring(engine, [make_sample()])[ALL_KINDS].n == 0
    assert engine.calls == []


def test_the_union_of_all_segments_is_scored():
    image = make_image()
    both = fake_mask(image, "all dogs", 0) | fake_mask(image, "all dogs", 1)
    table = evaluate_referring(FakeEngine(instances={"all dogs": 2}), [make_sample(Expression("all dogs", "multi", both))])
    assert table["multi"].targets.miou == 1.0


def test_silence_is_right_where_there_is_nothing_and_wrong_elsewhere():
    engine = FakeEngine(instances={"ghost": 0, "dog": 0})
    table = evaluate_referring(engine, [make_sample(Expression("ghost", "absent", NOTHING), Expression("dog", "name", SQUARE))])
    assert table["absent"].n_acc == 1.0
    assert table["name"].t_acc == 0.0
    assert table["name"].targets.miou == 0.0


class ScoredFake(FakeEngine):
    """Knows the square, but decides that nothing is there."""

    def segment_scored(self, image: RgbImage, phrases: Sequence[str]) -> list[Answer]:
        return [Answer(SQUARE, 0.2, []) for _ in phrases]


def test_masks_before_the_decision_are_used_where_an_engine_offers_them():
    table = evaluate_referring(ScoredFake(), [make_sample(Expression("dog", "name", SQUARE))])
    assert table["name"].targets.miou == 0.0
    assert table["name"].targets_ungated.miou == 1.0


def test_an_engine_without_a_decision_has_no_such_column():
    assert evaluate_referring(FakeEngine(), [make_sample(Expression("dog", "name", SQUARE))])["name"].targets_ungated is None


def test_a_box_prompt_is_the_tight_box_of_the_object():
    engine = FakeEngine()
    scores = evaluate_prompts(engine, [make_sample(objects=(SQUARE,))])
    assert ("boxes", [[10.0, 20.0, 15.0, 25.0]]) in engine.calls
    assert scores.box.miou == 1.0


def test_the_centre_of_the_object_is_clicked_at_its_deepest_pixel():
    engine = FakeEngine()
    scores = evaluate_prompts(engine, [make_sample(objects=(SQUARE,))])
    assert ("points", ([[12.5, 22.5]], [True], None)) in engine.calls
    assert scores.centre_point.miou == pytest.approx(1.0)


def test_every_object_gets_two_clicks_and_a_box():
    scores = evaluate_prompts(FakeEngine(), [make_sample(objects=(SQUARE, make_mask(box=(30, 2, 40, 9))))])
    assert scores.point.n == scores.centre_point.n == scores.box.n == 2


def test_clicks_are_the_same_each_time_and_differ_between_images():
    def clicks(name: str, seed: int = 0) -> list:
        engine = FakeEngine()
        evaluate_prompts(engine, [make_sample(objects=(make_mask(box=(2, 2, 60, 44)),), name=name)], seed=seed)
        return [arguments for method, arguments in engine.calls if method == "points"]

    assert clicks("a") == clicks("a")
    assert clicks("a") != clicks("b")
    assert clicks("a", seed=0) != clicks("a", seed=1)


def test_no_objects_mean_no_prompt_scores():
    assert evaluate_prompts(FakeEngine(), [make_sample()]) is None


def test_a_random_click_never_touches_the_border_of_the_object():
    rng = np.random.default_rng(0)
    points = np.array([random_inner_point(SQUARE, rng) for _ in range(300)])
    assert {(x, y) for x, y in points.tolist()} == {(x + 0.5, y + 0.5) for x in (11, 12, 13) for y in (21, 22, 23)}


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((0, 0, 1, 1), (0.5, 0.5), id="one pixel in the corner"),
        pytest.param((0, 0, 64, 48), (23.5, 23.5), id="whole image: its edge counts as border"),
    ],
)
def test_the_centre_point_of_masks_at_the_edge(box, expected):
    assert tuple(centre_point(make_mask(box=box))) == expected


def test_a_thin_object_is_clicked_on_itself():
    line = make_mask(box=(5, 7, 30, 8))
    x, y = random_inner_point(line, np.random.default_rng(1))
    assert line[int(y), int(x)]
