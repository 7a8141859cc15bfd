"""What can be wrong with this machine, with Label Studio and with a project, and what to do: one pure function per question.

The facts are gathered by :mod:`backend.diagnosis`; questions about the connected backends are in :mod:`backend.doctor_backends`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backend.errors import LabelConfigError
from backend.label_config import LabelPlan, LabelSpec, parse_label_config

Status = Literal["ok", "warn", "fail"]
Json = Mapping[str, Any]

_GIB = 2**30
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One question, its answer, and what to do when the answer is bad."""

    name: str
    status: Status
    message: str
    remedy: str = ""


def check_python(version: tuple[int, int], packages: Mapping[str, str]) -> Check:
    """Whether this Python is one that is tested; names the versions that matter in a bug report."""
    listed = ", ".join(f"{name} {found}" for name, found in packages.items())
    message = f"Python {version[0]}.{version[1]}, {listed}"
    if (3, 11) <= version < (3, 14):
        return Check("packages", "ok", message)
    return Check("packages", "warn", message, "use Python 3.11 to 3.13, which the tests cover")


def check_data_folder(
    folder: str, free_bytes: int, problem: str, *, name: str = "data folder", setting: str = "WORDMASK_DATA_DIR"
) -> Check:
    """Whether caches and remembered prompts, or checkpoints, can be written."""
    if problem:
        return Check(name, "fail", f"{folder} cannot be written: {problem}", f"set {setting} to a folder of your own")
    message = f"{folder}, {free_bytes / _GIB:.1f} GiB free"
    if free_bytes < 2 * _GIB:
        return Check(name, "warn", message, f"free some space (caches may take 1 GiB), or move {setting}")
    return Check(name, "ok", message)


def check_addresses(label_studio_url: str | None, has_token: bool) -> Check:
    """Whether the service knows its Label Studio."""
    if label_studio_url is None:
        return Check(
            "settings", "fail", "LABEL_STUDIO_URL is not set", "set it and LABEL_STUDIO_API_KEY (the environment and .env are read)"
        )
    if not has_token:
        return Check(
            "settings",
            "fail",
            f"{label_studio_url} without a token: uploaded images cannot be fetched",
            "create a token under Account & Settings > Access Token and set LABEL_STUDIO_API_KEY",
        )
    return Check("settings", "ok", f"Label Studio at {label_studio_url}")


def check_token(kind: str | None, jwt_settings: Json | None) -> Check:
    """How an accepted token behaves later on."""
    if kind == "access":
        return Check("token", "warn", "an access token, which lives five minutes", "set LABEL_STUDIO_API_KEY to a personal access token")
    if kind == "legacy" and jwt_settings and not jwt_settings.get("legacy_api_tokens_enabled", True):
        return Check("token", "warn", "a legacy token, and those are switched off", "use a personal access token")
    return Check(
        "token", "ok", {"legacy": "legacy token, accepted", "personal": "personal access token, accepted"}.get(kind or "", "accepted")
    )


def check_config(label_config: str) -> tuple[Check, LabelPlan | None]:
    """Whether masks can be made for the labeling config, and what is made of it."""
    try:
        plan = parse_label_config(label_config)
    except LabelConfigError as error:
        return Check("labeling config", "fail", str(error), "change it under Settings > Labeling Interface"), None
    notes = "".join(f"; {note}" for note in plan.notes)
    return Check("labeling config", "warn" if plan.notes else "ok", describe_plan(plan) + notes), plan


def describe_plan(plan: LabelPlan) -> str:
    """What is made of a labeling config, in one line."""
    outputs = []
    for control in plan.outputs:
        labels = ", ".join(_describe_label(label) for label in control.labels[:_SHOWN])
        more = ", ..." if len(control.labels) > _SHOWN else ""
        source = f"labels from the task field {control.labels_field!r}" if control.labels_field else labels + more or "no labels"
        model = f" by {plan.model_of(control)}" if control.labels or control.labels_field else ""
        outputs.append(f"{control.tag} {control.name!r} on {control.to_name!r}{model}: {source}")
    return "; ".join(outputs)


def _describe_label(label: LabelSpec) -> str:
    remarks = (
        [] if label.phrases == (label.value,) else [f"asked for as {', '.join(label.phrases)}" if label.phrases else "never asked for"]
    )
    remarks += ["stuff"] if label.is_stuff else []
    return f"{label.value} ({'; '.join(remarks)})" if remarks else label.value


def check_interaction(plan: LabelPlan) -> Check:
    """Which ways there are to ask for a mask by hand."""
    smart = sorted({control.kind for control in plan.smart_controls})
    ways = [f"smart {kind} tool" for kind in smart] + (["text box"] if plan.prompt_controls else [])
    if not ways:
        return Check(
            "interactive tools",
            "warn",
            "none: the config has no text box and no smart tool, so only batch predictions work",
            'add <TextArea name="prompt" toName="IMAGE"/>, or smart="true" to KeyPointLabels or RectangleLabels',
        )
    steps = "switch Auto-Annotation on at the bottom of the editor (off by default, per browser)"
    if smart:
        steps += "; for clicks and boxes take the smart tool first (last icon of the toolbar), then the label: a label alone sends nothing"
    return Check("interactive tools", "ok", ", ".join(ways), f"to use them: {steps}")


def check_tasks(tasks: Sequence[Json], plan: LabelPlan, total: int) -> Check:
    """Whether tasks hold the fields that the config shows."""
    if not tasks:
        return Check("tasks", "warn", "the project has no tasks", "import images")
    keys = [image.data_key for image in plan.images]
    lacking = [str(task["id"]) for task in tasks if any(not task["data"].get(key) for key in keys)]
    fields = " and ".join(map(repr, keys))
    if not lacking:
        return Check(
            "tasks", "ok", f"{total} tasks; the first {len(tasks)} have {fields}" if total > len(tasks) else f"{total} tasks with {fields}"
        )
    found = ", ".join(map(repr, sorted(tasks[0]["data"])))
    return Check(
        "tasks",
        "fail" if len(lacking) == len(tasks) else "warn",
        f"{len(lacking)} of {len(tasks)} tasks looked at have no {fields}, as task {lacking[0]} (the first task has {found or 'no field'})",
        "correct the data of these tasks, or the value of the Image tag",
    )
