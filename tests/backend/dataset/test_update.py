"""Corrections become samples, and leave when they are taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.dataset import source
from backend.dataset.update import DatasetUpdate
from backend.errors import LabelConfigError, LabelStudioError, StorageError
from models import Sample
from tests.backend.dataset.conftest import make_update
from tests.backend.dataset.studio import CONFIG, Studio, brush, polygon, rectangle
from tests.factories import make_mask


def samples(update: DatasetUpdate) -> list[Sample]:
    return list(update.store.samples(1))


def said(sample: Sample) -> dict[str, tuple[int, ...]]:
    return {expression.text: expression.target_ids for expression in sample.expressions}


# --- what an annotation gives


def test_a_brush_region_becomes_a_mask_under_its_labels_words(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Dog"))
    update.whole_project(1)
    (sample,) = samples(update)
    assert np.array_equal(sample.mask_of([1]), make_mask())
    assert said(sample) == {"Dog": (1,), "Cat": ()}
    assert [target.label for target in sample.targets] == ["Dog"]


def test_the_image_of_a_sample_is_kept_and_its_digest_names_it(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    update.whole_project(1)
    (sample,) = samples(update)
    assert Path(sample.image).exists()
    assert sample.attributes["digest"] == Path(sample.image).stem
    assert sample.size_hw == (48, 64)


def test_a_rectangle_becomes_a_box_without_a_mask(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), rectangle("Cat"))
    update.whole_project(1)
    (target,) = samples(update)[0].targets
    assert (target.rle, target.box, target.label) == (None, (16, 12, 32, 24), "Cat")


def test_a_polygon_becomes_a_mask(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), polygon("Dog"))
    update.whole_project(1)
    assert np.array_equal(samples(update)[0].mask_of([1]), make_mask(box=(0, 0, 32, 48)))


def test_a_region_made_by_a_prompt_is_learned_with_that_prompt(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Free", meta={"text": ["the brown  dog"]}))
    update.whole_project(1)
    (sample,) = samples(update)
    assert said(sample) == {"the brown dog": (1,), "Dog": (), "Cat": ()}
    assert sample.expressions[0].kind == "prompt"


def test_a_label_refers_to_all_its_regions_and_a_prompt_to_its_own(label_studio: Studio, update: DatasetUpdate) -> None:
    regions = brush("Dog", meta={"text": ["the small one"]}), brush("Dog", (30, 4, 40, 20))
    label_studio.annotate(label_studio.add_task(), *regions)
    update.whole_project(1)
    assert said(samples(update)[0]) == {"the small one": (1,), "Dog": (1, 2), "Cat": ()}


def test_an_empty_annotation_teaches_that_nothing_is_there(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task())
    update.whole_project(1)
    assert said(samples(update)[0]) == {"Dog": (), "Cat": ()}


def test_words_of_a_label_come_from_the_config(label_studio: Studio, update: DatasetUpdate) -> None:
    config = CONFIG.replace('value="Dog"/', 'value="Dog" prompt="poodle, terrier"/').replace('value="Cat"/', 'value="Cat" prompt="kitten"/')
    label_studio.project["label_config"] = config
    label_studio.annotate(label_studio.add_task(), brush("Cat"))
    label_studio.annotate(label_studio.add_task((1, 2, 3)), brush("Dog"))
    update.whole_project(1)
    first, second = map(said, samples(update))
    assert first == {"kitten": (1,), "poodle": (), "terrier": ()}
    assert second == {"Dog": (1,), "kitten": ()}, "of several words nobody knows which one the region is"


@pytest.mark.parametrize(("model", "expected"), [("", None), (' model="sam-mi"', None), (' model="ssp-sam"', True)])
def test_a_control_that_asks_in_words_is_measured_in_words(
    label_studio: Studio, update: DatasetUpdate, model: str, expected: bool | None
) -> None:
    label_studio.project["label_config"] = CONFIG.replace('<BrushLabels name="mask"', f'<BrushLabels name="mask"{model}')
    label_studio.annotate(label_studio.add_task(), brush("Cat"))
    update.whole_project(1)
    (sample,) = samples(update)
    assert sample.attributes.get("in_words") is expected


def test_a_task_with_a_list_of_images_gives_a_sample_for_each(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.project["label_config"] = CONFIG.replace('value="$image"', 'valueList="$images"')
    one, two = (label_studio.tasks[label_studio.add_task(colour)]["data"]["image"] for colour in ((1, 1, 1), (2, 2, 2)))
    label_studio.tasks.clear()
    label_studio.annotate(label_studio.add_task(images=[one, two]), brush("Dog", item_index=1))
    update.whole_project(1)
    assert [said(sample)["Dog"] for sample in samples(update)] == [(), (1,)]


# --- what does not count


def test_skipped_and_drafted_annotations_give_nothing(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush(), was_cancelled=True)
    label_studio.add_task()
    report = update.whole_project(1)
    assert samples(update) == []
    assert report.tasks["unused"] == 2


@pytest.mark.parametrize(("ground_truth", "label"), [(True, "Dog"), (False, "Cat")])
def test_of_several_annotators_the_ground_truth_counts_else_the_newest(
    label_studio: Studio, update: DatasetUpdate, ground_truth: bool, label: str
) -> None:
    task = label_studio.add_task()
    label_studio.annotate(task, brush("Dog"), ground_truth=ground_truth)
    label_studio.annotate(task, brush("Cat"))
    update.whole_project(1)
    assert [target.label for target in samples(update)[0].targets] == [label]


BROKEN = [
    pytest.param(brush(value={"format": "rle", "rle": [1, 2, 3], "brushlabels": ["Dog"]}), id="cut off"),
    pytest.param(brush(value={"format": "rle", "rle": "no", "brushlabels": ["Dog"]}), id="no list"),
    pytest.param(rectangle(value={"x": 10, "y": 10, "width": 0, "height": 0, "rectanglelabels": ["Dog"]}), id="no size"),
    pytest.param(rectangle(value={"x": 200, "y": 200, "width": 5, "height": 5, "rectanglelabels": ["Dog"]}), id="off the image"),
    pytest.param(polygon(value={"points": [[1, 1]], "polygonlabels": ["Dog"]}), id="one point"),
    pytest.param(brush(value=None), id="no value"),
]


@pytest.mark.parametrize("region", BROKEN)
def test_a_region_that_cannot_be_read_says_nothing_about_its_label(
    label_studio: Studio, update: DatasetUpdate, region: dict[str, Any]
) -> None:
    label_studio.annotate(label_studio.add_task(), region, brush("Cat"))
    report = update.whole_project(1)
    (sample,) = samples(update)
    assert said(sample).get("Cat") == (2,)
    assert said(sample).get("Dog") != (), "neither there nor not there"
    assert report.findings.number("error") == 1
    assert [found["severity"] for found in update.store.findings(1)].count("error") == 1


# --- changes


def test_only_what_changed_is_fetched_again(label_studio: Studio, update: DatasetUpdate) -> None:
    first = label_studio.add_task()
    label_studio.annotate(first, brush())
    label_studio.annotate(label_studio.add_task((9, 9, 9)), brush())
    update.whole_project(1)
    label_studio.fetched.clear()
    label_studio.annotate(first, brush("Cat"))
    report = update.whole_project(1)
    assert label_studio.fetched == [[first]]
    assert report.tasks["unchanged"] == 1


def test_a_deleted_annotation_leaves_the_dataset(label_studio: Studio, update: DatasetUpdate) -> None:
    task = label_studio.add_task()
    annotation = label_studio.annotate(task, brush())
    update.whole_project(1)
    label_studio.delete_annotation(task, annotation)
    update.whole_project(1)
    assert samples(update) == []


def test_a_deleted_task_leaves_the_dataset(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    update.whole_project(1)
    label_studio.tasks.clear()
    assert update.whole_project(1).tasks["removed"] == 1
    assert samples(update) == []


def test_a_label_that_came_later_teaches_nothing_about_images_reviewed_before(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Dog"))
    update.whole_project(1)
    label_studio.project["label_config"] = CONFIG.replace('<Label value="Cat"/>', '<Label value="Cat"/><Label value="Bird"/>')
    update.whole_project(1)
    label_studio.annotate(label_studio.add_task((9, 9, 9)), brush("Dog"), updated_at="2999-01-01T00:00:00Z")
    update.whole_project(1)
    before, after = map(said, samples(update))
    assert before == {"Dog": (1,), "Cat": ()}
    assert after == {"Dog": (1,), "Cat": (), "Bird": ()}


def test_a_changed_config_changes_the_words_of_what_was_known(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Cat"))
    update.whole_project(1)
    label_studio.project["label_config"] = CONFIG.replace('value="Cat"', 'value="Cat" prompt="kitten"')
    update.whole_project(1)
    assert said(samples(update)[0])["kitten"] == (1,)


def test_a_region_of_a_label_that_is_gone_keeps_its_own_words(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Guard_Dog"))
    update.whole_project(1)
    assert said(samples(update)[0])["Guard Dog"] == (1,)


def test_a_new_project_of_an_old_number_begins_empty(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    update.whole_project(1)
    label_studio.tasks.clear()
    label_studio.project["created_at"] = "2027-01-01T00:00:00Z"
    label_studio.add_task()
    update.some_tasks(1, [1])
    assert samples(update) == []


def test_an_older_state_never_replaces_a_newer_one(label_studio: Studio, update: DatasetUpdate) -> None:
    task = label_studio.add_task()
    label_studio.annotate(task, brush("Dog"))
    old = dict(label_studio.tasks[task], annotations=list(label_studio.tasks[task]["annotations"]))
    label_studio.annotate(task, brush("Cat"))
    update.some_tasks(1, [task])
    label_studio.tasks[task] = old
    update.some_tasks(1, [task])
    assert [target.label for target in samples(update)[0].targets] == ["Cat"]


# --- trouble on the way


def test_a_vanished_image_is_told_and_looked_for_again(label_studio: Studio, update: DatasetUpdate) -> None:
    task = label_studio.add_task(image="/data/upload/1/gone.png")
    label_studio.annotate(task, brush())
    report = update.whole_project(1)
    assert (report.tasks["failed"], samples(update)) == (1, [])
    assert "gone.png" in update.store.findings(1)[0]["what"]
    label_studio.tasks[task]["data"] = label_studio.tasks[label_studio.add_task()]["data"]
    assert update.whole_project(1).tasks["used"] == 1


def test_an_interrupted_comparison_goes_on_where_it_was(
    label_studio: Studio, update: DatasetUpdate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "FETCHED_AT_ONCE", 1)
    monkeypatch.setattr(source, "LISTED_AT_ONCE", 2)
    for number in range(5):
        label_studio.annotate(label_studio.add_task((number, 0, 0)), brush())

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update.whole_project(1, interrupt)
    label_studio.fetched.clear()
    update.whole_project(1)
    assert label_studio.fetched == [[4], [5]]
    assert len(samples(update)) == 5


def test_label_studio_failing_for_a_moment_is_waited_for(label_studio: Studio, tmp_path: Path) -> None:
    update = DatasetUpdate(**{**_parts(make_update(label_studio, tmp_path)), "pauses": (0.0, 0.0)})
    label_studio.annotate(label_studio.add_task(), brush())
    label_studio.failures = [500, 503]
    assert update.whole_project(1).tasks["used"] == 1


def _parts(update: DatasetUpdate) -> dict[str, Any]:
    return {name: getattr(update, name) for name in ("client", "images", "store", "kept")}


def test_label_studio_failing_for_good_is_an_error_that_leaves_what_was_there(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    update.whole_project(1)
    label_studio.failures = [500]
    with pytest.raises(LabelStudioError):
        update.whole_project(1)
    assert len(samples(update)) == 1


def test_a_config_without_masks_is_an_error_that_leaves_what_was_there(label_studio: Studio, update: DatasetUpdate) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    update.whole_project(1)
    label_studio.project["label_config"] = '<View><Image name="image" value="$image"/></View>'
    with pytest.raises(LabelConfigError):
        update.whole_project(1)
    assert len(samples(update)) == 1


def test_images_that_cannot_be_kept_are_a_named_error(label_studio: Studio, update: DatasetUpdate, tmp_path: Path) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    (tmp_path / "kept").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="free some space"):
        update.whole_project(1)
    assert samples(update) == []
