"""Batch pre-annotation: what each task gets, and that no task harms another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import EngineBusy
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.predict import Outcome, TaskPrediction, predict_tasks
from backend.regions import region_to_mask
from models import Evidence, Judged, RgbImage, answer_doubt, task_doubt
from tests.backend.messages import CONFIG
from tests.factories import FakeEngine, fake_mask, make_data_uri, make_image, make_settings, make_task


@pytest.fixture
def predict(tmp_path: Path) -> Any:
    """Predict with defaults for everything that a test is not about."""

    def call(
        tasks: list[Any], engine: FakeEngine, xml: str = CONFIG, *, settings: dict[str, Any] | None = None, **options: Any
    ) -> list[TaskPrediction]:
        chosen = make_settings(tmp_path, **(settings or {}))
        images = ImageLoader(chosen, None)
        return predict_tasks(tasks, parse_label_config(xml), engine, images, chosen, model_version=engine.version, **options)

    return call


def labels_of(prediction: TaskPrediction) -> list[str]:
    return [region["value"]["brushlabels"][0] for region in prediction.regions]


def test_every_label_gets_its_own_region(predict: Any) -> None:
    engine = FakeEngine()
    (prediction,) = predict([make_task()], engine)
    assert labels_of(prediction) == ["Dog", "Cat"]
    for region, phrase in zip(prediction.regions, ["Dog", "Cat"], strict=True):
        np.testing.assert_array_equal(region_to_mask(region, (48, 64)), fake_mask(make_image(), phrase))
    assert prediction.to_json() == {"result": list(prediction.regions), "score": prediction.score, "model_version": engine.version}
    assert 0 < prediction.score < 1


def test_all_phrases_of_an_image_are_asked_in_one_call(predict: Any) -> None:
    engine = FakeEngine()
    predict([make_task(data={"image": make_data_uri(), "prompt": ["Dog", "the left dog"]})], engine)
    assert engine.calls == [("segment", ["Dog", "the left dog", "Cat"])]


def test_many_phrases_are_asked_in_groups_and_the_best_of_all_are_kept(predict: Any) -> None:
    labels = "".join(f'<Label value="t{number}"/>' for number in range(150))
    xml = f'<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">{labels}</BrushLabels></View>'
    engine = FakeEngine(scores={"t5": 0.93, "t100": 0.95, "t149": 0.94})
    (prediction,) = predict([make_task()], engine, xml, settings={"max_regions": 3})
    assert [len(phrases) for _, phrases in engine.calls] == [64, 64, 22]
    assert labels_of(prediction) == expected_best(["t100", "t149", "t5", *(f"t{i}" for i in range(150))])


def expected_best(phrases: list[str]) -> list[str]:
    """The first three of a list whose fake masks differ."""
    masks: dict[bytes, str] = {}
    for phrase in phrases:
        masks.setdefault(fake_mask(make_image(), phrase).tobytes(), phrase)
    return list(masks.values())[:3]


def test_a_prompt_of_the_task_carries_the_label_that_it_names(predict: Any) -> None:
    (prediction,) = predict([make_task(data={"image": make_data_uri(), "prompt": "the sleeping cat"})], FakeEngine())
    (region,) = [region for region in prediction.regions if "meta" in region]
    assert region["value"]["brushlabels"] == ["Cat"]
    assert region["meta"] == {"text": ["the sleeping cat"]}


def test_the_labeling_config_may_name_the_field_of_the_prompts(predict: Any) -> None:
    xml = CONFIG.replace('name="brush"', 'name="brush" model_prompt_field="$expression"')
    (prediction,) = predict([make_task(data={"image": make_data_uri(), "expression": "a wet dog", "prompt": "unused"})], FakeEngine(), xml)
    assert [region["meta"]["text"] for region in prediction.regions if "meta" in region] == [["a wet dog"]]


def test_of_two_labels_on_one_object_the_surer_one_stays(predict: Any) -> None:
    xml = CONFIG.replace('<Label value="Cat"/>', '<Label value="Cat" prompt="Dog"/>')
    engine = FakeEngine(scores={"Dog": 0.7})
    (prediction,) = predict([make_task()], engine, xml)
    assert labels_of(prediction) == ["Dog"]


def test_a_prompt_of_the_task_beats_the_words_of_a_label_on_one_object(predict: Any) -> None:
    (prediction,) = predict([make_task(data={"image": make_data_uri(), "prompt": "Dog"})], FakeEngine())
    assert [region.get("meta") for region in prediction.regions] == [{"text": ["Dog"]}, None]


def test_several_instances_of_a_phrase_are_several_regions_with_ids_of_their_own(predict: Any) -> None:
    (prediction,) = predict([make_task()], FakeEngine(instances={"Dog": 3, "Cat": 0}))
    assert labels_of(prediction) == ["Dog"] * 3
    assert len({region["id"] for region in prediction.regions}) == 3


def test_the_score_of_a_task_falls_with_everything_that_a_person_could_tell(predict: Any) -> None:
    (sure,) = predict([make_task()], FakeEngine(scores={"Dog": 0.95, "Cat": 0.95}))
    (one_unsure,) = predict([make_task()], FakeEngine(scores={"Dog": 0.95, "Cat": 0.4}))
    (both_unsure,) = predict([make_task()], FakeEngine(scores={"Dog": 0.4, "Cat": 0.4}))
    assert sure.score > one_unsure.score > both_unsure.score > 0


def test_an_engine_that_judges_itself_is_believed_about_its_doubt(predict: Any) -> None:
    evidence = {"Dog": Evidence(True, 0.5, 1.0, 0.8), "Cat": Evidence(True, 0.9, 1.0, 0.6)}

    class Judging(FakeEngine):
        def segment_judged(self, image: RgbImage, phrases: Sequence[str]) -> list[Judged]:
            return [Judged(found, evidence[one]) for one, found in zip(phrases, self.segment(image, phrases), strict=True)]

    (prediction,) = predict([make_task()], Judging())
    assert prediction.score == pytest.approx(1 - task_doubt([answer_doubt(one) for one in evidence.values()]))
    assert [region["score"] for region in prediction.regions] == [0.9, 0.9], "regions keep the scores of their segments"


def test_silence_counts_as_doubtful_as_something_may_be_there(predict: Any) -> None:
    class Silent(FakeEngine):
        presence = 0.0

        def segment_judged(self, image: RgbImage, phrases: Sequence[str]) -> list[Judged]:
            return [Judged([], Evidence(False, self.presence, 0.5, 0.5)) for _ in phrases]

    engine = Silent()
    (sure,) = predict([make_task()], engine)
    assert sure.to_json() == {"result": [], "score": 1.0, "model_version": "fake-1.0.0+00000000"}
    engine.presence = 0.4
    (unsure,) = predict([make_task()], engine)
    assert unsure.score < 0.6


def test_of_the_silence_of_an_engine_that_does_not_judge_itself_nothing_is_known(predict: Any) -> None:
    (prediction,) = predict([make_task()], FakeEngine(instances={"Dog": 0, "Cat": 0}))
    assert prediction.to_json() == {"result": [], "score": pytest.approx(1 / (1 + 2 * 0.5)), "model_version": "fake-1.0.0+00000000"}


@pytest.mark.parametrize(
    ("settings", "attributes", "kept"),
    [
        pytest.param({"score_threshold": 0.5}, "", ["Dog"], id="threshold of the settings"),
        pytest.param({"score_threshold": 0.5}, 'model_score_threshold="0.1"', ["Dog", "Cat"], id="threshold of the control wins"),
        pytest.param({"max_regions": 1}, "", ["Dog"], id="most regions of the settings, the surest first"),
        pytest.param({"max_regions": 1}, 'model_max_regions="2"', ["Dog", "Cat"], id="most regions of the control wins"),
    ],
)
def test_few_and_sure_regions_are_kept(predict: Any, settings: dict[str, Any], attributes: str, kept: list[str]) -> None:
    xml = CONFIG.replace('name="brush"', f'name="brush" {attributes}')
    (prediction,) = predict([make_task()], FakeEngine(scores={"Dog": 0.9, "Cat": 0.2}), xml, settings=settings)
    assert labels_of(prediction) == kept


@pytest.mark.parametrize(
    ("settings", "attribute", "asked"),
    [
        pytest.param({}, "", ["Dog", "Cat"], id="off by default"),
        pytest.param({"keep_prompt": True}, "", ["the wet dog", "Cat"], id="on by the settings"),
        pytest.param({}, 'model_keep_prompt="true"', ["the wet dog", "Cat"], id="on by the control"),
        pytest.param({"keep_prompt": True}, 'model_keep_prompt="false"', ["Dog", "Cat"], id="off by the control"),
    ],
)
def test_a_remembered_prompt_takes_the_place_of_the_labels_words(
    predict: Any, settings: dict[str, Any], attribute: str, asked: list[str]
) -> None:
    engine = FakeEngine()
    xml = CONFIG.replace('name="brush"', f'name="brush" {attribute}')
    predict([make_task()], engine, xml, settings=settings, remembered={"Dog": "the wet dog"})
    assert engine.calls == [("segment", asked)]


def test_each_image_of_a_list_gets_its_own_regions(predict: Any) -> None:
    xml = CONFIG.replace('value="$image"', 'valueList="$pages"')
    pages = [make_image(colour=(0, 0, 0)), make_image(colour=(1, 0, 0))]
    (prediction,) = predict([make_task(data={"pages": [make_data_uri(page) for page in pages]})], FakeEngine(), xml)
    assert [region["item_index"] for region in prediction.regions] == [0, 0, 1, 1]
    np.testing.assert_array_equal(region_to_mask(prediction.regions[2], (48, 64)), fake_mask(pages[1], "Dog"))


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        pytest.param(make_task(data={}), "no field 'image'", id="no image field"),
        pytest.param(make_task(data={"image": None}), "no field 'image'", id="an empty image field"),
        pytest.param(make_task(data={"image": 5}), "must be the address", id="a number for an image"),
        pytest.param(make_task(data={"image": ["a", "b"]}), "must be the address", id="a list for an image"),
        pytest.param({"id": 1}, "no field 'image'", id="no data"),
        pytest.param({"id": "x", "data": "x"}, "no field 'image'", id="data and id of other types"),
        pytest.param(make_task(data={"image": "data:image/png;base64,AAAA"}), "", id="not an image"),
        pytest.param(make_task(data={"image": "/etc/passwd"}), "not an address", id="a file of the server"),
        pytest.param(make_task(data={"image": "file:///etc/passwd"}), "not an address", id="a file URL"),
        pytest.param(make_task(data={"image": "http://169.254.169.254/latest"}), "", id="a host that must not be reached"),
    ],
)
def test_a_task_that_fails_says_why_and_the_others_get_theirs(predict: Any, task: dict[str, Any], reason: str) -> None:
    before, failed, after = predict([make_task(7), task, make_task(8)], FakeEngine())
    assert failed.outcome is Outcome.FAILED
    assert reason in (failed.reason or "")
    assert failed.to_json() == []
    assert (before.task_id, after.task_id) == (7, 8)
    assert before.outcome is after.outcome is Outcome.DONE


def test_a_failure_of_the_engine_is_told_without_its_words(predict: Any) -> None:
    (prediction,) = predict([make_task()], FakeEngine(failure=RuntimeError("secret internals")))
    assert (prediction.outcome, prediction.reason) == (Outcome.FAILED, "unexpected RuntimeError")


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="blank"),
        pytest.param(5, id="a number"),
        pytest.param({"a": 1}, id="an object"),
        pytest.param([None, ""], id="a list of nothing"),
    ],
)
def test_a_prompt_that_says_nothing_is_not_asked(predict: Any, prompt: Any) -> None:
    engine = FakeEngine()
    (prediction,) = predict([make_task(data={"image": make_data_uri(), "prompt": prompt})], engine)
    assert engine.calls == [("segment", ["Dog", "Cat"])]
    assert prediction.reason is None


@pytest.mark.parametrize("prompt", ["🐕 🐈", "der linke Hund", "左边的狗", "dog\x00\n\t'; DROP TABLE", "a" * 1000])
def test_odd_prompts_are_asked_as_they_are(predict: Any, prompt: str) -> None:
    (prediction,) = predict([make_task(data={"image": make_data_uri(), "prompt": prompt})], FakeEngine())
    assert prediction.outcome is Outcome.DONE
    assert [region["meta"]["text"] for region in prediction.regions if "meta" in region] == [[prompt]]


def test_a_prompt_that_is_far_too_long_is_left_out_and_named(predict: Any) -> None:
    (prediction,) = predict([make_task(data={"image": make_data_uri(), "prompt": ["x" * 10_000, "a wet dog"]})], FakeEngine())
    assert prediction.outcome is Outcome.DONE
    assert [region["meta"]["text"] for region in prediction.regions if "meta" in region] == [["a wet dog"]]
    assert "1 of the task's prompts were left out" in (prediction.reason or "")


def test_what_does_not_fit_into_the_time_is_postponed(predict: Any) -> None:
    engine = FakeEngine(delay=0.05)
    predictions = predict([make_task(number) for number in range(50)], engine, deadline=time.monotonic() + 0.3)
    outcomes = [prediction.outcome for prediction in predictions]
    done = outcomes.count(Outcome.DONE)
    assert 1 <= done < 50
    assert outcomes == [Outcome.DONE] * done + [Outcome.POSTPONED] * (50 - done)
    assert predictions[-1].to_json() == []


def test_the_first_task_is_tried_even_without_time(predict: Any) -> None:
    first, second = predict([make_task(1), make_task(2)], FakeEngine(), deadline=time.monotonic() - 1)
    assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.POSTPONED)


def test_tasks_that_failed_before_come_last(predict: Any) -> None:
    first, second = predict([make_task(1), make_task(2)], FakeEngine(), deadline=time.monotonic() - 1, failed_before={1})
    assert (first.outcome, second.outcome) == (Outcome.POSTPONED, Outcome.DONE)


def test_an_engine_that_stays_busy_postpones_the_tasks(predict: Any) -> None:
    predictions = predict([make_task(1), make_task(2)], FakeEngine(failure=EngineBusy("busy")))
    assert [prediction.outcome for prediction in predictions] == [Outcome.POSTPONED] * 2


def test_labels_that_a_task_brings_are_asked_for(predict: Any) -> None:
    xml = '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image" value="$labels"/></View>'
    with_labels, without = predict(
        [make_task(data={"image": make_data_uri(), "labels": [{"value": "Fox"}]}), make_task()], FakeEngine(), xml
    )
    assert labels_of(with_labels) == ["Fox"]
    assert without.outcome is Outcome.FAILED
