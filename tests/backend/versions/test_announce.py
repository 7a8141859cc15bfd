"""Label Studio looks scores up by the name of the version that serves, whoever changed it, and what people chose stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.dataset.prepare import sample_store
from backend.errors import LabelStudioError
from backend.label_studio import LabelStudioClient
from backend.versions.announce import Announcer
from backend.versions.line import VersionLine
from tests.backend.test_connect import Studio
from tests.backend.versions.drafts import BASE, publish
from tests.factories import make_settings
from tests.local_http import Reply, local_server

URL = "http://backend:9090"


@pytest.fixture
def studio() -> Iterator[Studio]:
    with local_server() as server:
        yield Studio(server)


@pytest.fixture
def line(tmp_path: Path) -> VersionLine:
    return VersionLine(tmp_path, 1)


def announcer(studio: Studio, line: VersionLine) -> Announcer:
    return Announcer(LabelStudioClient(studio.url, "a token"), make_settings(line.data_dir), BASE)


def told(studio: Studio) -> tuple[Any, ...]:
    return tuple(backend["title"] for backend in studio.backends), studio.project["model_version"]


def age(line: VersionLine) -> None:
    """Let the pointer be older than services take to notice it."""
    os.utime(line.folder / "serving", (1, 1))


def connected(studio: Studio, version: str = BASE, **fields: Any) -> None:
    studio.add_backend(URL, **{"title": version, "model_version": version, **fields})
    studio.project["model_version"] = version


def test_a_new_version_becomes_the_title_of_the_backend_and_the_version_of_the_project(studio: Studio, line: VersionLine) -> None:
    connected(studio)
    publish(line, "v1")
    announcer(studio, line).tell(line)
    assert told(studio) == (("v1",), "v1")


def test_a_roll_back_is_told_as_well_and_nothing_is_told_twice(studio: Studio, line: VersionLine) -> None:
    connected(studio)
    chore = announcer(studio, line)
    publish(line, "v1")
    chore.tell(line)
    line.roll_back()
    chore.tell(line)
    assert told(studio) == ((BASE,), BASE)
    changes = studio.changes
    announcer(studio, line).tell(line)
    assert studio.changes == changes


def test_the_chore_tells_of_every_change_once_services_had_time_to_take_it_up(studio: Studio, line: VersionLine) -> None:
    connected(studio)
    chore = announcer(studio, line)
    publish(line, "v1")
    chore()
    assert told(studio) == ((BASE,), BASE)
    age(line)
    chore()
    assert told(studio) == (("v1",), "v1")


@pytest.mark.parametrize(
    ("backend", "project", "expected"),
    [
        pytest.param({"title": "Our model"}, "Our model", (("Our model",), "Our model"), id="a title of their own"),
        pytest.param({}, "yolo-3", (("v1",), "yolo-3"), id="predictions of another model"),
        pytest.param({"title": "x", "model_version": "yolo-3"}, "x", (("x",), "x"), id="another backend"),
    ],
)
def test_what_people_chose_stays(studio: Studio, line: VersionLine, backend: dict[str, Any], project: str, expected: Any) -> None:
    connected(studio, **backend)
    studio.project["model_version"] = project
    publish(line, "v1")
    announcer(studio, line).tell(line)
    assert told(studio) == expected


def test_a_version_of_an_older_project_of_the_same_number_is_not_announced(studio: Studio, line: VersionLine) -> None:
    connected(studio)
    publish(line, "v1", created="2020-01-01T00:00:00+00:00")
    age(line)
    chore = announcer(studio, line)
    project = {"id": 1, "created_at": "2026-11-21T00:00:00Z", "title": "Masks", "label_config": "<View/>"}
    sample_store(chore.settings).see_project(project, [], "")
    chore()
    assert told(studio) == ((BASE,), BASE)


def test_a_project_that_is_gone_is_asked_for_once(studio: Studio, tmp_path: Path) -> None:
    line = VersionLine(tmp_path, 2)
    publish(line, "v1")
    age(line)
    announcer(studio, line)()
    assert (line.folder / "told").exists()


def test_a_label_studio_that_fails_is_told_later_and_keeps_no_other_project_waiting(studio: Studio, tmp_path: Path) -> None:
    connected(studio)
    for project in (1, 3):
        publish(VersionLine(tmp_path, project), f"v{project}")
        age(VersionLine(tmp_path, project))
    studio._server.routes["/api/projects/3"] = Reply(500, b"{}")
    chore = announcer(studio, VersionLine(tmp_path, 1))
    chore()
    assert told(studio) == (("v1",), "v1")
    assert not (tmp_path / "versions" / "3" / "told").exists()
    with pytest.raises(LabelStudioError):
        chore.tell(VersionLine(tmp_path, 3))


def test_versions_of_weights_that_are_served_no_more_are_not_announced(studio: Studio, line: VersionLine) -> None:
    connected(studio, "fake-2.0.0+11111111")
    publish(line, "v1")
    Announcer(LabelStudioClient(studio.url, "a token"), make_settings(line.data_dir), "fake-2.0.0+11111111").tell(line)
    assert told(studio) == (("fake-2.0.0+11111111",), "fake-2.0.0+11111111")
