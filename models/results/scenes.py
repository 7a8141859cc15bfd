"""Results of an evaluation on generated scenes, in the form that data sets have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.data.emoji_scenes import SceneSet
from models.engine import Engine
from models.evaluation import Asked, Sample
from models.evaluation_splits import evaluate_split
from models.figures import Figures
from models.results.document import Skipped
from models.results.referring import PROTOCOLS, referring_figures
from models.results.rows import ExpressionRow, expression_rows


def evaluate_split_with_rows(
    engine: Engine, scenes: SceneSet, record: Callable[[dict[str, Any]], None], on_scene: Callable[[], None] = lambda: None
) -> tuple[Figures, dict[str, Any]]:
    """Score an engine on a split and keep what was measured on each expression.

    Args:
        engine: to be scored.
        scenes: as from :func:`models.evaluation_splits.prepare_split`.
        record: is given the row of each expression, as JSON values.
        on_scene: called after each scene.

    Returns:
        The figures of :func:`models.evaluation_splits.evaluate_split`, and the fields of the results that hold figures.
    """
    rows: list[ExpressionRow] = []

    def keep(sample: Sample, answers: list[Asked]) -> None:
        for row in expression_rows(sample, answers):
            rows.append(row)
            record(row.to_json())

    figures = evaluate_split(engine, scenes, on_scene, keep)
    fields = {
        "protocols": dict(PROTOCOLS),
        "referring": referring_figures(rows),
        "prompts": figures["prompts"],
        "semantic": None,
        "instances": None,
        "skipped": Skipped().to_json(),
    }
    return figures, fields
