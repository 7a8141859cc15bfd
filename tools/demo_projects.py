"""The demo's three projects: pre-annotated from the words of each task, pre-annotated from a list of labels, and one to type words into."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.data.sample_scenes import SampleScene, load_sample_scenes
from models.evaluation import Expression
from tools.label_studio_api import LabelStudioApi
from tools.label_studio_server import ROOT

CONFIGS = ROOT / "annotation_configs"
MAX_ROUNDS = 5
EXPRESSIONS_PER_SCENE = 3
SHOWN_KINDS = ("color", "name_color", "name", "spatial", "size", "multi", "multi_color")
"""Kinds of expression that the shipped model is good at, the best first; its card says how it does on the others."""

Asks = Literal["words of the task", "labels", "typed words"]
"""What masks are made from in a project."""


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
    asks: Asks

    @property
    def is_pre_annotated(self) -> bool:
        """Whether masks are there before anybody types."""
        return self.asks != "typed words"


def make_projects(api: LabelStudioApi, backend_url: str) -> list[DemoProject]:
    """Create the projects with the sample scenes and connect the backend to them."""
    scenes = load_sample_scenes()
    return [
        _make_project(
            api,
            backend_url,
            scenes,
            title="Referring expressions",
            config=_shipped("referring_expressions.xml"),
            hint="every task brings its words; open one and see their masks",
            asks="words of the task",
        ),
        _make_project(
            api,
            backend_url,
            scenes,
            title="A list of labels",
            config=label_list_config(name for scene in scenes for name in scene.classes),
            hint="everything that the labels name is marked; open a task and see",
            asks="labels",
        ),
        _make_project(
            api,
            backend_url,
            scenes,
            title="Type a prompt",
            config=_shipped("text_prompt_brush.xml"),
            hint="open a task, switch Auto-Annotation on, type words below the image, press Add",
            asks="typed words",
        ),
    ]


def _shipped(config: str) -> str:
    return (CONFIGS / config).read_text(encoding="utf-8")


def _make_project(
    api: LabelStudioApi, backend_url: str, scenes: Sequence[SampleScene], *, title: str, config: str, hint: str, asks: Asks
) -> DemoProject:
    # A task opened without predictions asks the backend for them; where words are typed, that would answer before the person does.
    project = api.create_project(title, config, show_collab_predictions=asks != "typed words")
    uploaded = api.upload_images(project, [scene.path for scene in scenes])
    tasks = []
    for scene, task in zip(scenes, uploaded, strict=True):
        wanted = labels_of(scene) if asks == "labels" else distinct_expressions(scene.sample.expressions)
        if asks == "words of the task":
            api.set_task_data(task["id"], {**task["data"], "prompt": [expression.text for expression in wanted]})
        tasks.append(DemoTask(task["id"], scene, wanted))
    backend = api.connect_backend(project, backend_url)
    return DemoProject(project, title, hint, backend, tuple(tasks), asks)


def label_list_config(names: Iterable[str]) -> str:
    """A labeling config of nothing but labels, each in a colour of its own."""
    labels = sorted(set(names))
    coloured = (f'<Label value="{name}" background="{_colour(place / len(labels))}"/>' for place, name in enumerate(labels))
    return f"""<View>
  <Image name="image" value="$image" zoom="true" zoomControl="true"/>
  <BrushLabels name="mask" toName="image" model="sam-mi">{"".join(coloured)}</BrushLabels>
</View>"""


def _colour(hue: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, 0.8, 0.85))


def labels_of(scene: SampleScene) -> tuple[Expression, ...]:
    """Each class of a scene as something to find, with all of its objects."""
    found = []
    for name in dict.fromkeys(scene.classes):
        masks = [mask for mask, own in zip(scene.sample.objects, scene.classes, strict=True) if own == name]
        found.append(Expression(name, "label", np.any(masks, axis=0), (name,)))
    return tuple(found)


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
