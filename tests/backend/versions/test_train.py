"""The job that makes a version: better ones serve, whatever else happens leaves what serves alone and says why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.app import weights_version
from backend.dataset.prepare import sample_store
from backend.errors import StorageError
from backend.jobs.job import Job, JobContext, JobState
from backend.jobs.record import read_record
from backend.settings import Settings
from backend.versions.line import VersionLine
from backend.versions.train import Learner, train_version
from models import Engine
from tests.backend.dataset.studio import Studio, brush, studio
from tests.backend.versions.learner import SmallLearner
from tests.factories import make_settings


class Trains:
    """A Label Studio with corrections, and jobs about them."""

    def __init__(self, label_studio: Studio, settings: Settings) -> None:
        self.label_studio = label_studio
        self.settings = settings
        self.small = SmallLearner()
        self.line = VersionLine(settings.data_dir, 1)
        self.base = weights_version(settings)
        self.reports: list[str] = []
        self.records: list[dict[str, Any]] = []
        self._corrections = 0

    def correct(self, number: int = 1) -> None:
        """Somebody submits annotations."""
        for _ in range(number):
            self._corrections += 1
            self.label_studio.annotate(self.label_studio.add_task((self._corrections, 0, 0)), brush())

    def job(self, name: str = "j1", learner: Learner | None = None) -> str:
        """Run a job, or its next attempt, to its end; its last line."""
        folder = self.settings.data_dir / "jobs" / name
        folder.mkdir(parents=True, exist_ok=True)
        job = Job(name, 1, JobState.STARTED, "", "", 0.0)

        def report(note: str) -> None:
            self.reports.append(note)
            self.records.append(read_record(self.settings.data_dir, name))

        return train_version(self.settings, learner or self.small.learner)(JobContext(job, folder, report))

    def files(self, name: str = "j1") -> set[str]:
        """What is left of a job."""
        return {path.name for path in (self.settings.data_dir / "jobs" / name).iterdir()}

    @property
    def serving(self) -> str | None:
        """Name of the version that serves."""
        found = self.line.serving()
        return found.name if found else None


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trains]:
    monkeypatch.setattr("backend.versions.train.ADOPTION_SECONDS", 0)
    with studio() as label_studio:
        settings = make_settings(tmp_path, label_studio_url=label_studio.url, label_studio_api_key=SecretStr("a token"))
        yield Trains(label_studio, settings)


def test_corrections_become_a_version_that_serves_and_the_next_begins_from_it(world: Trains) -> None:
    world.correct(2)
    said = world.job()
    first = f"{world.base}.p1.v1"
    assert world.serving == first
    assert said.startswith(f"{first} serves: mean IoU 0.120, 0.100 before")
    world.correct()
    world.job("j2")
    newest = world.line.versions()[-1]
    assert (newest.name, newest.manifest.parent) == (f"{world.base}.p1.v2", first)


def test_what_a_job_did_stays_and_what_it_needed_goes(world: Trains) -> None:
    world.correct()
    world.job()
    assert world.files() == {"training.json"}
    record = read_record(world.settings.data_dir, "j1")
    assert [point["epoch"] for point in record["curve"]] == [1, 2, 3, 4]
    assert record["candidate"]["scores"]["candidate"]["mean"] == pytest.approx(0.11)
    assert (record["published"], record["step"], record["steps"]) == (True, 4, 4)
    assert not (world.line.folder / ".drafts").exists()


def test_how_far_it_is_can_be_told_while_it_runs(world: Trains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.jobs.record._EVERY_SECONDS", 0.0)
    world.correct()
    world.job()
    assert "epoch 2 of 4, step 2 of 4, loss 0.500, validation 0.200" in world.reports
    assert {"epoch": 2, "step": 2, "figures": {"loss": 0.5, "validation": 0.2}}.items() <= world.records[2].items()
    assert len(world.records[2]["curve"]) == 2


def test_a_version_that_is_no_better_does_not_serve(world: Trains) -> None:
    world.correct()
    world.small.gain = 0.0
    assert world.job() == f"no improvement: mean IoU 0.100, 0.100 before (on validation); {world.base} goes on serving"
    assert (world.serving, world.line.versions()) == (None, [])
    assert read_record(world.settings.data_dir, "j1")["published"] is False
    assert not (world.line.folder / ".drafts").exists()


def test_the_button_pressed_again_trains_nothing_twice_until_something_is_corrected_or_rolled_back(world: Trains) -> None:
    world.correct()
    world.job()
    assert "nothing new" in world.job("j2")
    assert world.small.trained == 4
    world.correct()
    world.job("j3")
    assert world.serving == f"{world.base}.p1.v2"
    world.line.roll_back()
    assert "serves" in world.job("j4"), "another version serves: it may learn what the other one learned"


def test_without_samples_there_is_nothing_to_learn(world: Trains) -> None:
    world.label_studio.add_task()
    assert world.job() == "nothing to learn from yet: there is nothing to learn from; correct more tasks"
    assert world.serving is None


def test_a_full_disk_fails_the_job_and_the_next_attempt_goes_on(world: Trains) -> None:
    world.correct()
    world.job()
    serving = world.serving
    world.correct()
    world.small.failure = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        world.job("j2")
    assert world.serving == serving
    assert not (world.line.folder / ".drafts").exists()
    assert "run" in world.files("j2")
    world.small.failure = None
    world.job("j2")
    assert world.serving == f"{world.base}.p1.v2"
    assert world.small.trained == 8, "it went on from its checkpoint"


def test_a_disk_that_fills_up_while_publishing_fails_the_job_and_what_served_goes_on(
    world: Trains, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.correct()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backend.versions.line.sync", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        world.job()
    assert (world.serving, world.line.versions()) == (None, [])
    monkeypatch.undo()
    monkeypatch.setattr("backend.versions.train.ADOPTION_SECONDS", 0)
    world.job()
    assert world.serving == f"{world.base}.p1.v1"


@pytest.mark.parametrize("killed_at", ["before the pointer", "after the pointer"])
def test_a_job_that_was_killed_while_publishing_makes_its_version_once(
    world: Trains, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    world.correct()
    point = VersionLine._point

    def killed(line: VersionLine, number: int | None) -> None:
        if killed_at == "after the pointer":
            point(line, number)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VersionLine, "_point", killed)
        with pytest.raises(KeyboardInterrupt):
            world.job()
    assert world.job().startswith(f"{world.base}.p1.v1 serves")
    assert [version.name for version in world.line.versions()] == [world.serving]
    assert world.small.trained == 4


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def kill_after_publishing(world: Trains, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ends as if killed once its version serves."""
    with monkeypatch.context() as patch:
        patch.setattr("backend.versions.train.note_lesson", _killed)
        with pytest.raises(KeyboardInterrupt):
            world.job()


def test_a_roll_back_is_not_undone_by_a_job_that_was_killed_after_publishing(world: Trains, monkeypatch: pytest.MonkeyPatch) -> None:
    world.correct()
    kill_after_publishing(world, monkeypatch)
    world.line.roll_back()
    assert "rolled back meanwhile" in world.job()
    assert world.serving is None


def test_what_came_after_a_job_was_killed_that_had_published_is_learned_by_its_next_attempt(
    world: Trains, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.correct()
    kill_after_publishing(world, monkeypatch)
    world.correct(2)
    assert world.job().startswith(f"{world.base}.p1.v2 serves")
    versions = world.line.versions()
    assert [version.name for version in versions] == [f"{world.base}.p1.v1", f"{world.base}.p1.v2"]
    gains = [version.manifest.candidate.mean - version.manifest.serving.mean for version in versions]
    assert gains == [pytest.approx(world.small.gain * samples) for samples in (1, 3)]


def test_a_version_is_told_of_whatever_its_job_tried_after_it_was_killed(world: Trains, monkeypatch: pytest.MonkeyPatch) -> None:
    world.correct()
    kill_after_publishing(world, monkeypatch)
    world.correct()
    world.small.gain = 0.0
    with monkeypatch.context() as patch:
        patch.setattr("backend.versions.line.VersionLine.prune", _killed)
        with pytest.raises(KeyboardInterrupt):
            world.job()  # finds nothing better, and is killed again
    for _ in range(2):
        assert world.job().startswith(f"{world.base}.p1.v1 serves: mean IoU 0.110, 0.100 before")
    assert world.small.trained == 2 * world.small.steps
    assert read_record(world.settings.data_dir, "j1")["published"] is True


def test_images_that_vanished_are_fetched_again_or_left_out(world: Trains) -> None:
    world.correct(3)
    world.job()
    shutil.rmtree(world.settings.data_dir / "sample-images")
    world.label_studio.tasks[2]["data"]["image"] = "data:image/png;base64,"
    world.correct()
    world.job("j2")
    samples = list(sample_store(world.settings).samples(1))
    assert len(samples) == 3
    assert all(Path(sample.image).exists() for sample in samples)
    (finding,) = sample_store(world.settings).findings(1)
    assert (finding["task"], finding["kind"]) == (2, "no-image")


def test_a_config_that_changed_meanwhile_is_learned_as_it_is_now(world: Trains) -> None:
    world.correct(2)
    world.job()
    config = world.label_studio.project["label_config"].replace('<Label value="Cat"/>', '<Label value="Fox"/>')
    world.label_studio.project["label_config"] = config
    world.job("j2")
    said = {one.text for sample in sample_store(world.settings).samples(1) for one in sample.expressions}
    assert "Cat" not in said
    assert world.serving == f"{world.base}.p1.v2"


def test_a_config_without_place_for_masks_fails_the_job_with_its_reason(world: Trains) -> None:
    world.correct()
    world.job()
    world.label_studio.project["label_config"] = '<View><Image name="image" value="$image"/></View>'
    with pytest.raises(Exception, match="BrushLabels"):
        world.job("j2")
    assert world.serving == f"{world.base}.p1.v1"


def test_older_predictions_are_made_anew_the_most_doubtful_first(world: Trains) -> None:
    world.correct()
    waiting = [world.label_studio.add_task((0, number, 0)) for number in range(1, 5)]
    for task, score in zip(waiting, (0.9, 0.2, 0.5), strict=False):
        world.label_studio.predict(task, world.base, score)
    world.label_studio.predict(1, world.base, 0.1)
    said = world.job()
    anew = [one["task"] for one in world.label_studio.predictions if one["model_version"] == world.serving]
    assert anew == [waiting[1], waiting[2], waiting[0]], "neither what is annotated nor what nobody predicted before"
    assert said.endswith("3 of 3 older predictions made anew")


def test_no_more_predictions_are_made_anew_than_allowed(world: Trains) -> None:
    world.settings = world.settings.model_copy(update={"refreshed_tasks": 1})
    world.correct()
    for score in (0.9, 0.2):
        world.label_studio.predict(world.label_studio.add_task((0, 1, 0)), world.base, score)
    assert world.job().endswith("1 of 1 older predictions made anew")


def test_a_label_studio_that_fails_in_the_end_leaves_the_version_serving(world: Trains) -> None:
    world.correct()
    load = world.small.load

    def fail(folder: Path) -> object:
        world.label_studio.failures = [400] * 100
        return load(folder)

    world.label_studio.predict(world.label_studio.add_task((0, 1, 0)), world.base, 0.5)
    said = world.job(learner=Learner(world.small.fine_tune, fail))  # type: ignore[arg-type]
    assert "Label Studio was not told all of it" in said
    assert world.serving == f"{world.base}.p1.v1"


def test_old_versions_are_pruned_by_the_setting(world: Trains) -> None:
    world.settings = world.settings.model_copy(update={"kept_versions": 1})
    for number in range(4):
        world.correct()
        world.job(f"j{number}")
    assert [version.number for version in world.line.versions()] == [3, 4], "the one that serves and its parent"


def test_what_a_version_changed_is_drawn_once_it_serves(world: Trains) -> None:
    world.correct()
    world.job()
    (version,) = world.line.versions()
    assert {path.name for path in (version.folder / "pictures").iterdir()} == {"pictures.json", "0-before.jpg", "0-after.jpg"}
    assert world.reports[-1] == f"{version.name} serves; its pictures are drawn"


def test_a_version_without_pictures_serves_all_the_same(world: Trains) -> None:
    def fail(place: object) -> Engine:
        raise MemoryError

    world.correct()
    said = world.job(learner=Learner(world.small.fine_tune, fail))
    assert said.startswith(f"{world.base}.p1.v1 serves")
    assert not (world.line.versions()[0].folder / "pictures").exists()
