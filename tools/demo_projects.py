"""The demo's two projects: one pre-annotated from the words of each task, one to type words into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.data.sample_scenes import SampleScene, load_sample_scenes
from models.evaluation import Expression
from tools.label_studio_api import LabelStudioApi
from tools.label_studio_server import ROOT

CONFIGS = ROOT / "annotation_configs"
MAX_ROUNDS = 5
EXPRESSIONS_PER_SCENE = 3
SHOWN_KINDS = ("name_color", "color", "name", "multi")
"""Kinds of expression that the shipped model is good at, the best first; its card says how it does on the others."""


class DemoError(RuntimeError):
    """The demo could not do what it is for; the message says what is missing."""


@dataclass(frozen=True)
class DemoTask:
    """A task of the demo with the right answers to what it asks for."""

    id: int
    scene: SampleScene
    expressions: tuple[Expression, ...]


@dataclass(frozen=True)
class DemoProject:
    """A project of the demo."""

    id: int
    title: str
    hint: str
    backend: int
    """Id of its ML backend in Label Studio."""
    tasks: tuple[DemoTask, ...]
    is_pre_annotated: bool


def make_projects(api: LabelStudioApi, backend_url: str) -> list[DemoProject]:
    """Create both projects with the sample scenes and connect the backend to them."""
    return [
        _make_project(
            api,
            backend_url,
            title="Referring expressions",
            config="referring_expressions.xml",
            hint="every task brings its words; open one and see their masks",
            is_pre_annotated=True,
        ),
        _make_project(
            api,
            backend_url,
            title="Type a prompt",
            config="text_prompt_brush.xml",
            hint="open a task, switch Auto-Annotation on, type words below the image, press Add",
            is_pre_annotated=False,
        ),
    ]


def _make_project(api: LabelStudioApi, backend_url: str, *, title: str, config: str, hint: str, is_pre_annotated: bool) -> DemoProject:
    # A task opened without predictions asks the backend for them; where words are typed, that would answer before the person does.
    project = api.create_project(title, (CONFIGS / config).read_text(encoding="utf-8"), show_collab_predictions=is_pre_annotated)
    scenes = load_sample_scenes()
    uploaded = api.upload_images(project, [scene.path for scene in scenes])
    tasks = []
    for scene, task in zip(scenes, uploaded, strict=True):
        expressions = distinct_expressions(scene.sample.expressions)
        if is_pre_annotated:
            api.set_task_data(task["id"], {**task["data"], "prompt": [expression.text for expression in expressions]})
        tasks.append(DemoTask(task["id"], scene, expressions))
    backend = api.connect_backend(project, backend_url)
    return DemoProject(project, title, hint, backend, tuple(tasks), is_pre_annotated)


def distinct_expressions(expressions: Sequence[Expression]) -> tuple[Expression, ...]:
    """A few expressions of the shown kinds that refer to something, and none to what another one refers to.

    Of two prompts for one object the backend keeps the better one, so that no object is marked twice.
    """
    chosen: list[Expression] = []
    shown = [expression for expression in expressions if expression.kind in SHOWN_KINDS]
    for expression in sorted(shown, key=lambda expression: SHOWN_KINDS.index(expression.kind)):
        is_new = not any((expression.mask & other.mask).any() for other in chosen)
        if expression.mask.any() and is_new:
            chosen.append(expression)
    return tuple(chosen[:EXPRESSIONS_PER_SCENE])


def pre_annotate(api: LabelStudioApi, project: DemoProject) -> None:
    """Retrieve predictions through Label Studio, again for tasks that did not fit into one request's time.

    Raises:
        DemoError: tasks are still without predictions after several rounds.
    """
    missing = [task.id for task in project.tasks]
    for _ in range(MAX_ROUNDS):
        api.retrieve_predictions(project.id, missing)
        missing = [task for task in missing if not api.predictions(task)]
        if not missing:
            return
    raise DemoError(
        f"{len(missing)} of {len(project.tasks)} tasks of “{project.title}” have no prediction after {MAX_ROUNDS} requests"
        f" (task {missing[0]} for one). Label Studio hides the backend's errors: see .demo/backend/backend.log"
    )
