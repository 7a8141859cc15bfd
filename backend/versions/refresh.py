"""Predictions of older versions are made anew by the version that serves, the most doubtful first, as those are annotated next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from backend.dataset.source import Predicted, ProjectSource
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS
from backend.preannotate import Preannotation, Summary, TaskReport
from backend.settings import Settings
from models import Engine


def by_doubt(predicted: Iterable[Predicted]) -> list[int]:
    """Ids of tasks, the lowest score first; those without a score last, by id."""
    return [one.task for one in sorted(predicted, key=lambda one: (one.score is None, one.score or 0.0, one.task))]


def doubtful_tasks(client: LabelStudioClient, project_id: int) -> list[int]:
    """Tasks that hold predictions and no annotation, most doubtful first.

    To be asked before a new version serves: Label Studio tells scores of the version that it goes by, and of a new one it has none yet.
    """
    return by_doubt(ProjectSource(client, project_id, RETRY_SECONDS).predicted())


def refresh(
    client: LabelStudioClient,
    project_id: int,
    tasks: Sequence[int],
    engine: Engine,
    settings: Settings,
    on_report: Callable[[TaskReport], None] = lambda report: None,
) -> Summary:
    """Predict tasks again and store the results beside the older ones. Started again after a kill, it goes on.

    Args:
        client: Label Studio.
        project_id: whose tasks.
        tasks: their ids, in the order in which to go.
        engine: of the version that serves.
        settings: limits and thresholds.
        on_report: told of every task.

    Raises:
        LabelStudioError: Label Studio stays unreachable or refuses; what is stored stays.
        LabelConfigError: the project's config has no place for masks any more.
    """
    source, summary = ProjectSource(client, project_id, RETRY_SECONDS), Summary()
    plan = parse_label_config(source.project()["label_config"])
    run = Preannotation(client, plan, engine, ImageLoader(settings, client), settings, workers=1)

    def note(report: TaskReport) -> None:
        summary.add(report)
        on_report(report)

    run.run_tasks(source.bare_tasks(tasks), note)
    return summary
