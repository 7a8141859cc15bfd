"""The label scheme of a project or a file: its labeling config, and its tasks for what the config leaves to them."""

from __future__ import annotations

from pathlib import Path

from backend.export.label_scheme import LabelScheme, read_scheme
from backend.export.survey import survey_tasks
from backend.export.task_file import read_tasks


def scheme_of_project(label_config: str, tasks: Path) -> LabelScheme:
    """The scheme of a labeling config; labels that come with the tasks (``value="$labels"``) are looked for in these.

    Raises:
        LabelConfigError: the config cannot be read or has no control for masks.
        BadRequest: the tasks cannot be read.
    """
    found = read_scheme(label_config)
    if not found.has_task_labels:
        return found.scheme
    return found.scheme.with_labels(survey_tasks(read_tasks(tasks)).labels)


def scheme_of_file(tasks: Path, label_config: str | None) -> LabelScheme:
    """The scheme of an export file, which does not hold its labeling config: the one that is given, else what the tasks tell."""
    if label_config is not None:
        return scheme_of_project(label_config, tasks)
    return survey_tasks(read_tasks(tasks)).scheme()
