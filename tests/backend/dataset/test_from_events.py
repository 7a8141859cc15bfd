"""Events become samples, in whatever order and however often they come."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from backend.dataset import from_events
from backend.dataset.from_events import EventIntake
from backend.dataset.update import DatasetUpdate
from backend.errors import LabelStudioError
from backend.event_store import EventStore
from backend.events import Event
from tests.backend.dataset.studio import CONFIG, Studio, brush


class World:
    """A store of events and what takes them in."""

    def __init__(self, update: DatasetUpdate, folder: Path) -> None:
        self.update = update
        self.events = EventStore(folder / "events.sqlite3")
        self.take_in = EventIntake(self.events, update)

    def tell(self, action: str, *, annotations: Sequence[int] = (), tasks: Sequence[int] = (), project: int | None = 1) -> None:
        self.events.record(Event(action, project, tuple(annotations), tuple(tasks)))

    def labels(self) -> list[str | None]:
        return [target.label for sample in self.update.store.samples(1) for target in sample.targets]

    def outcomes(self) -> list[str | None]:
        self.take_in()
        return [stored.outcome for stored in reversed(self.events.recent())]


@pytest.fixture
def world(update: DatasetUpdate, tmp_path: Path) -> World:
    return World(update, tmp_path)


def test_a_submitted_annotation_becomes_a_sample(label_studio: Studio, world: World) -> None:
    annotation = label_studio.annotate(label_studio.add_task(), brush("Dog"))
    world.tell("ANNOTATION_CREATED", annotations=[annotation], tasks=[1])
    assert world.outcomes() == ["1 used, 0 unused, 0 unchanged, 0 removed, 0 failed"]
    assert world.labels() == ["Dog"]


def test_a_deleted_annotation_leaves_though_its_event_names_no_task(label_studio: Studio, world: World) -> None:
    annotation = label_studio.annotate(label_studio.add_task(), brush("Dog"))
    world.tell("ANNOTATION_CREATED", annotations=[annotation], tasks=[1])
    world.take_in()
    label_studio.delete_annotation(1, annotation)
    world.tell("ANNOTATIONS_DELETED", annotations=[annotation])
    world.take_in()
    assert world.labels() == []


def test_after_a_deletion_the_other_annotator_counts(label_studio: Studio, world: World) -> None:
    task = label_studio.add_task()
    label_studio.annotate(task, brush("Cat"))
    newest = label_studio.annotate(task, brush("Dog"))
    world.tell("TASKS_CREATED", tasks=[task])
    world.take_in()
    assert world.labels() == ["Dog"]
    label_studio.delete_annotation(task, newest)
    world.tell("ANNOTATIONS_DELETED", annotations=[newest])
    world.take_in()
    assert world.labels() == ["Cat"]


def test_tasks_imported_with_annotations_are_looked_at(label_studio: Studio, world: World) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Dog"))
    world.tell("TASKS_CREATED", tasks=[1])
    world.take_in()
    assert world.labels() == ["Dog"]


def test_deleted_tasks_leave(label_studio: Studio, world: World) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Dog"))
    world.tell("TASKS_CREATED", tasks=[1])
    world.take_in()
    label_studio.tasks.clear()
    world.tell("TASKS_DELETED", tasks=[1])
    world.take_in()
    assert world.labels() == []


def test_a_changed_project_is_compared_as_a_whole(label_studio: Studio, world: World) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Dog"))
    world.tell("PROJECT_UPDATED")
    world.take_in()
    assert world.labels() == ["Dog"], "found, though no event told of it"


def test_events_about_a_great_many_tasks_have_the_project_compared(
    label_studio: Studio, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_events, "MOST_TASKS", 3)
    for number in range(5):
        label_studio.add_task((number, 0, 0))
    label_studio.annotate(5, brush("Dog"))
    world.tell("TASKS_CREATED", tasks=[1, 2, 3, 4, 5])
    world.take_in()
    assert label_studio.fetched == [[5]], "tasks without annotations are not fetched"
    assert world.labels() == ["Dog"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_of_events_ends_in_the_state_that_label_studio_holds(label_studio: Studio, world: World, order: tuple[int, ...]) -> None:
    task = label_studio.add_task()
    first = label_studio.annotate(task, brush("Dog"))
    second = label_studio.annotate(task, brush("Cat"))
    label_studio.delete_annotation(task, first)
    told = [
        ("ANNOTATION_CREATED", [first], [task]),
        ("ANNOTATION_CREATED", [second], [task]),
        ("ANNOTATION_UPDATED", [second], [task]),
        ("ANNOTATIONS_DELETED", [first], []),
    ]
    for place in order:
        action, annotations, tasks = told[place]
        world.tell(action, annotations=annotations, tasks=tasks)
        world.take_in()
    assert world.labels() == ["Cat"]


def test_many_events_about_one_task_fetch_it_once(label_studio: Studio, world: World) -> None:
    annotation = label_studio.annotate(label_studio.add_task(), brush("Dog"))
    for _ in range(10):
        world.tell("ANNOTATION_UPDATED", annotations=[annotation], tasks=[1])
    world.take_in()
    assert label_studio.fetched == [[1]]


@pytest.mark.parametrize(
    ("action", "project", "outcome"),
    [
        pytest.param("ANNOTATION_CREATED", 2, "no project 2 that this token can see", id="unknown project"),
        pytest.param("ANNOTATION_CREATED", None, "names no project", id="no project"),
        pytest.param("LABEL_LINK_CREATED", 1, "about nothing that is known", id="another action"),
        pytest.param("ANNOTATIONS_DELETED", 1, "about nothing that is known", id="an annotation never seen"),
    ],
)
def test_what_cannot_be_acted_on_is_told_and_waits_no_more(world: World, action: str, project: int | None, outcome: str) -> None:
    tasks = [3] if action == "ANNOTATION_CREATED" else []
    world.tell(action, annotations=[9], tasks=tasks, project=project)
    (told,) = world.outcomes()
    assert told is not None
    assert told.startswith("ignored: ")
    assert outcome in told
    assert world.events.waiting() == []


def test_a_config_without_masks_is_told(label_studio: Studio, world: World) -> None:
    label_studio.project["label_config"] = (
        CONFIG.replace("BrushLabels", "Choices").replace("RectangleLabels", "Choices").replace("PolygonLabels", "Choices")
    )
    world.tell("PROJECT_UPDATED")
    (told,) = world.outcomes()
    assert "no control that can hold masks" in str(told)


@pytest.mark.parametrize("status", [401, 500])
def test_events_wait_while_label_studio_fails(label_studio: Studio, world: World, status: int) -> None:
    annotation = label_studio.annotate(label_studio.add_task(), brush("Dog"))
    world.tell("ANNOTATION_CREATED", annotations=[annotation], tasks=[1])
    label_studio.failures = [status]
    with pytest.raises(LabelStudioError):
        world.take_in()
    assert len(world.events.waiting()) == 1
    world.take_in()
    assert world.labels() == ["Dog"]


def test_the_train_button_is_left_for_whoever_makes_jobs(world: World) -> None:
    world.tell("START_TRAINING")
    world.take_in()
    assert len(world.events.waiting()) == 1
