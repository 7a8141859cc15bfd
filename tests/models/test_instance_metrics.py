"""Average precision by COCO's tool, and the same again from what it matched, with weights of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.average_precision import MatchTable
from models.instance_metrics import STATS, evaluate_instances
from tests.coco_world import BELOW, LEFT, RIGHT, annotation, dataset


def test_the_ground_truth_against_itself_is_perfect():
    truth = dataset([annotation(1, LEFT), annotation(1, RIGHT, 2), annotation(2, BELOW)])
    scores, _ = evaluate_instances(truth, [{**one, "score": 1.0} for one in truth["annotations"]])
    assert scores.stats["ap"] == pytest.approx(1.0)
    assert scores.ap_by_label == {"dog": pytest.approx(1.0), "cat": pytest.approx(1.0)}
    assert scores.objects_by_label == {"dog": 2, "cat": 1}
    assert scores.stats["ap_large"] is None, "there is no large object"
    assert list(scores.stats) == list(STATS)


def test_one_of_two_objects_found_is_half_of_the_recalls():
    truth = dataset([annotation(1, LEFT), annotation(2, RIGHT)])
    scores, _ = evaluate_instances(truth, [annotation(1, LEFT, score=0.9)])
    assert scores.stats["ap"] == pytest.approx(51 / 101), "recalls 0, .01, ... .50 of 101 are reached with precision 1"
    assert scores.stats["ar100"] == pytest.approx(0.5)
    assert scores.ap_by_label["cat"] is None
    assert scores.curves["0.5"] == pytest.approx([1.0] * 11 + [0.0] * 10)


def test_a_surer_mistake_costs_precision():
    truth = dataset([annotation(1, LEFT)])
    scores, _ = evaluate_instances(truth, [annotation(1, LEFT, score=0.5), annotation(1, BELOW, score=0.9)])
    assert scores.stats["ap"] == pytest.approx(0.5)


def test_iou_decides_at_which_thresholds_an_answer_counts():
    truth = dataset([annotation(1, (0, 0, 20, 10))])
    scores, (match,) = evaluate_instances(truth, [annotation(1, (0, 0, 20, 8), score=0.9)])  # IoU .8
    assert match.hits == (0b1111111,)
    assert scores.stats["ap"] == pytest.approx(0.7)
    assert scores.stats["ap75"] == pytest.approx(1.0)


def test_answers_on_a_crowd_count_neither_way():
    truth = dataset([annotation(1, LEFT), annotation(1, BELOW, iscrowd=1)])
    scores, matches = evaluate_instances(truth, [annotation(1, LEFT, score=0.5), annotation(1, BELOW, score=0.9)])
    assert scores.stats["ap"] == pytest.approx(1.0)
    assert scores.objects_by_label["dog"] == 1
    assert MatchTable(matches, [1, 2]).average_precision() == pytest.approx(1.0)


def test_finding_nothing_is_zero_and_no_error():
    scores, matches = evaluate_instances(dataset([annotation(1, LEFT)]), [])
    assert scores.stats["ap"] == 0.0
    assert MatchTable(matches, [1, 2]).average_precision() == 0.0


def random_evaluation(seed: int, n_images: int = 6) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Boxes, and answers that are shifted, doubled, missing or wrong."""
    random = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(1, n_images + 1):
        for _ in range(random.integers(0, 4)):
            x, y, width, height = random.integers(0, 40), random.integers(0, 40), *random.integers(6, 24, 2)
            label = int(random.integers(1, 3))
            truth.append(annotation(image, (x, y, x + width, y + height), label, iscrowd=int(random.random() < 0.1)))
            for _ in range(random.integers(0, 3)):
                dx, dy = random.integers(0, 5, 2)
                moved = (x + dx, y + dy, x + dx + width, y + dy + height)
                found.append(annotation(image, moved, int(random.integers(1, 3)), score=float(random.integers(1, 10) / 10)))
    return dataset(truth, n_images), found


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_from_matches_equals_that_of_cocos_tool(seed):
    truth, found = random_evaluation(seed)
    scores, matches = evaluate_instances(truth, found)
    table = MatchTable(matches, [image["id"] for image in truth["images"]])
    assert table.average_precision() == pytest.approx(scores.stats["ap"], abs=1e-9)


def test_an_image_with_weight_two_counts_like_two_images():
    truth, found = random_evaluation(3)
    found = [{**one, "score": 1 / (2 + place)} for place, one in enumerate(found)]  # of equal scores the order would matter
    _, matches = evaluate_instances(truth, found)
    twice = dataset(truth["annotations"] + [{**one, "image_id": one["image_id"] + 6} for one in truth["annotations"]], 12)
    scores, _ = evaluate_instances(
        {**twice, "annotations": [{**one, "id": number} for number, one in enumerate(twice["annotations"], 1)]},
        found + [{**one, "image_id": one["image_id"] + 6} for one in found],
    )
    table = MatchTable(matches, [image["id"] for image in truth["images"]])
    assert table.average_precision(np.full(6, 2.0)) == pytest.approx(scores.stats["ap"], abs=1e-9)


def test_without_the_image_of_a_mistake_nothing_is_wrong():
    truth = dataset([annotation(1, LEFT), annotation(2, RIGHT)])
    _, matches = evaluate_instances(truth, [annotation(1, LEFT, score=0.5), annotation(2, BELOW, score=0.9)])
    table = MatchTable(matches, [1, 2])
    assert table.average_precision(np.array([1.0, 0.0])) == pytest.approx(1.0)
    assert np.isnan(table.average_precision(np.array([0.0, 0.0])))
