"""The splits that are reported: emoji scenes that training never saw, made on the spot where they are missing."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from models.data.emoji_scenes import SPLITS, SceneSet, build_bank, generate, sample_expressions
from models.data.emoji_scenes.dataset import GENERATOR_VERSION
from models.data.emoji_scenes.meta import SceneMeta
from models.engine import Engine
from models.evaluation import Asked, Expression, PromptMetrics, Sample, add_answers, add_prompts, ask_expressions
from models.figures import Figures, SplitScores
from models.metrics import ReferringMetrics

REPORTED_SPLITS: Mapping[str, str] = MappingProxyType(
    {
        "held-out-scenes": "test",
        "compositions": "compositions",
        "seen-pairs": "seen_pairs",
        "backgrounds": "backgrounds",
        "openmoji": "openmoji",
    }
)
"""Name in tables -> name of the scenes' split: unseen scenes; unseen pairs of attribute and class; pairs that training has, but drawn and
asked for in the way of the unseen, to compare those with; unseen backgrounds; unseen artwork."""

OnAnswers = Callable[[Sample, list[Asked]], None]

EVALUATION_SEED = 2
EXPRESSIONS_PER_SCENE = 12
"""Enough that 500 scenes give the rarest kinds some 80 expressions each."""


def prepare_split(name: str, count: int, data_dir: Path) -> SceneSet:
    """The scenes of a reported split, made if they are missing (for which glyph packages are fetched with npm).

    Args:
        name: a key of :data:`REPORTED_SPLITS`.
        count: number of scenes; more scenes begin with the same ones.
        data_dir: keeps scenes and glyph packages for the next time.

    Raises:
        ValueError: there is no such split, or ``count`` is not positive.
        FileExistsError: the folder holds scenes of another generator.
        models.data.emoji_scenes.GlyphSourceError: a glyph package cannot be had.
    """
    if name not in REPORTED_SPLITS:
        raise ValueError(f"unknown split {name!r}; known splits: {', '.join(REPORTED_SPLITS)}")
    split = REPORTED_SPLITS[name]
    folder = data_dir / f"{split}-{count}"
    if not (folder / "manifest.json").exists():
        glyphs = build_bank(data_dir / "glyph_packages", SPLITS[split].styles)
        generate(folder, split, count, seed=EVALUATION_SEED, glyphs=glyphs, workers=1, progress=False)
    scenes = SceneSet(folder)
    wanted = {"split": split, "count": count, "seed": EVALUATION_SEED, "generator_version": GENERATOR_VERSION}
    found = {key: scenes.manifest.get(key) for key in wanted}
    if found != wanted:
        raise FileExistsError(f"{folder} holds other scenes ({found}, expected {wanted}); delete the folder, they are made anew")
    return scenes


def evaluate_split(
    engine: Engine, scenes: SceneSet, on_scene: Callable[[], None] = lambda: None, on_answers: OnAnswers | None = None
) -> Figures:
    """Score an engine on a split, words and clicks and boxes.

    Args:
        engine: to be scored.
        scenes: as from :func:`prepare_split`.
        on_scene: called after each scene.
        on_answers: is given each scene with the answers to its expressions.

    Returns:
        Plain values, see :meth:`models.figures.SplitScores.to_json`.
    """
    referring, prompts = ReferringMetrics(), PromptMetrics()
    for sample in scene_samples(scenes):
        answers = ask_expressions(engine, sample)
        add_answers(referring, sample, answers)
        if on_answers is not None:
            on_answers(sample, answers)
        add_prompts(prompts, engine, sample, seed=EVALUATION_SEED)
        on_scene()
    return SplitScores(len(scenes), referring.table(), prompts.scores()).to_json()


def scene_samples(scenes: SceneSet, per_scene: int = EXPRESSIONS_PER_SCENE, seed: int = EVALUATION_SEED) -> Iterator[Sample]:
    """Scenes with drawn expressions and all their objects; expressions of a scene depend on ``seed``, its split and number only."""
    split = str(scenes.manifest["split"])
    for index in range(len(scenes)):
        meta = scenes.meta(index)
        height, width = meta.size_hw
        image, ids = scenes.image(index)[:height, :width], scenes.ids(index)[:height, :width]
        rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
        expressions = tuple(
            Expression(drawn.text, drawn.kind, np.isin(ids, drawn.targets), _names(meta, drawn.targets))
            for drawn in sample_expressions(meta, rng, per_scene, split)
        )
        objects = tuple(ids == one.id for one in meta.objects)
        yield Sample(f"{split}/{index}", np.ascontiguousarray(image), expressions, objects)


def _names(meta: SceneMeta, targets: Sequence[int]) -> tuple[str, ...]:
    return tuple(sorted({one.name for one in meta.objects if one.id in targets}))
