"""How the shipped model is made: four stages on emoji scenes, from nothing, in less than three hours on two processors.

1. ``clip``: names and colours, patch by patch, in scenes of every hue. 2. ``sam``: masks for clicks and boxes, from CLIP's encoder as a
start. 3. ``prompt``: the head, on frozen encoders. 4. ``joint``: all but CLIP's image tower together. The stages are scheduled by step and
resume after a kill.

What the recipe has of earlier ones, of up to eighteen stages: pairs of attribute and class that training never shows are kept out of what
it *denies*, too, from the first step on; hues are drawn anew; boxes fit; and phrases for several things are read in parts, so that no stage
need learn to hold two of them at once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data.emoji_scenes.dataset import SceneSet, generate
from models.data.emoji_scenes.glyphs import build_bank
from models.data.emoji_scenes.grammar import Expression, tells_apart_what_is_held_out
from models.data.emoji_scenes.light import relight
from models.data.emoji_scenes.meta import SceneMeta
from models.data.emoji_scenes.repaint import Pixels, repaint
from models.data.emoji_scenes.splits import is_held_out
from models.data.emoji_scenes.vocabulary import CATEGORIES, CLASSES, COLORS, category_plural, plural, ways_to_say, words_for_color
from models.embedding_cache import EmbeddingCache
from models.evaluation_splits import scene_samples
from models.phrase_parts import parts_of
from models.ssp_sam.config import tiny
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.ssp_sam.weights import build_engine, write_weights_folder
from models.training.batches import Change, SceneSampler
from models.training.calibration import calibrate_presence
from models.training.clip_stage import ClipStage, LabelText
from models.training.hardware import ALONE, Hardware, SharedSteps
from models.training.loop import Stage, StageConfig, run_stage
from models.training.prompt_stage import TRAINING_KIND_WEIGHTS, ExpressionSampler, JointStage, PromptStage
from models.training.sam_stage import SamStage
from models.training.shared_stage import shared
from models.training.starts import start_head, start_sam_from_clip
from models.weights_folder import open_weights_folder

DENSE_SHARE_OF_NAMES = 0.6
"""Dense scenes show three times as many objects for the same work."""
DENSE_SHARE_OF_CLICKS = 0.3
"""Their objects are small, though: at the share above, masks of large objects stayed holes and rags."""
REPAINTED = 0.3
"""Of the objects, where expressions are asked for."""
SCENES_REPAINTED, SCENES_RELIT = 0.4, 0.15
"""Of the scenes of the first stage; the rest are as they are."""
MOST = 0.7
"""Of a repainted scene's objects there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyRecipe:
    """Everything that decides the weights."""

    seed: int = 20261121
    scene_seed: int = 2026
    dense_scenes: int = 14000
    scenes: int = 24000
    calibration_scenes: int = 400
    clip: StageConfig = field(default_factory=lambda: StageConfig(steps=5400, batch_size=16, learning_rate=1e-3, optimizer="muon"))
    sam: StageConfig = field(default_factory=lambda: StageConfig(steps=5200, batch_size=16, learning_rate=8e-4, optimizer="muon"))
    prompt: StageConfig = field(default_factory=lambda: StageConfig(steps=1100, batch_size=16, learning_rate=1e-3, optimizer="muon"))
    joint: StageConfig = field(default_factory=lambda: StageConfig(steps=900, batch_size=16, learning_rate=5e-4, optimizer="muon"))
    expressions_per_image: int = 8


def debug_recipe() -> TinyRecipe:
    """The same stages in seconds, for tests: a handful of scenes, two steps a stage."""
    short = StageConfig(steps=2, batch_size=2, learning_rate=1e-4, warmup_steps=1, optimizer="muon", bfloat16=False)
    return TinyRecipe(
        dense_scenes=6, scenes=6, calibration_scenes=4, clip=short, sam=short, prompt=short, joint=short, expressions_per_image=2,
    )  # fmt: skip


FUNCTION_WORDS = """
a an the all every each both any and or of on in at to from with without near by next beside between closest nearest left right top bottom
leftmost rightmost topmost bottommost upper lower up down above below under over side corner middle center centre edge first second third
fourth last one two three four five six seven big bigger biggest large larger largest small smaller smallest little tiny huge tall short
object objects thing things item items other another same that is are not no than more image picture scene farthest furthest far away
colored coloured half it there which lower-left upper-right not except left-hand right-hand front behind 1st 2nd 3rd 4th beneath close
everything highest lowest
"""
"""Words besides names, colours and categories that a phrase may hold. A test keeps the grammar within them."""

CALIBRATION = "calibration"
"""The split that thresholds are chosen on; never reported."""
PROFILE = "tiny"
"""Name under which the weights serve."""
RELEASE = "0.8.0"
"""Of the weights; part of the version that Label Studio shows."""
STAGES = ("clip", "sam", "prompt", "joint")
STARTS: Mapping[str, Callable[[SspSam], None]] = {"sam": start_sam_from_clip, "prompt": start_head}
"""What happens to the network before a stage."""
Report = Callable[[str, int, int, dict[str, float]], None]


class TinyTraining:
    """One run of the recipe.

    Args:
        recipe: what to do.
        data_dir: holds the scene sets ``dense``, ``train`` and ``calibration``.
        run_dir: checkpoints, logs and, in the end, the weights.
        hardware: this process alone, or those that share every step.
    """

    def __init__(self, recipe: TinyRecipe, data_dir: Path, run_dir: Path, hardware: Hardware = ALONE) -> None:
        self.recipe, self.hardware = recipe, hardware
        self.data_dir = data_dir
        self.run_dir = run_dir
        vocabulary = vocabulary_of(known_words())
        self.config = tiny(vocab_size=len(vocabulary) + 4)
        self.tokenizer = PhraseTokenizer(self.config.clip.context_length, vocabulary)
        self._train_set = SceneSet(data_dir / "train")
        self._dense_set = SceneSet(data_dir / "dense")
        names = [(*ways_to_say(name), plural(name)) for name in CLASSES]
        colours = [words_for_color(color) for color in COLORS]
        self._label_text = LabelText(names, colours, self.tokenizer)

    def run(self, until: str = STAGES[-1], report: Report | None = None) -> SspSam:
        """Train up to and including stage ``until``; finished stages are read from their checkpoints."""
        torch.manual_seed(self.recipe.seed)
        model = SspSam(self.config).to(memory_format=torch.channels_last)
        records: list[dict[str, Any]] = []
        for name in STAGES[: STAGES.index(until) + 1]:
            stage = self._stage(name)
            if name in STARTS:
                STARTS[name](model)
            steps = stage.config.steps

            def tell(step: int, figures: dict[str, float], name: str = name, steps: int = steps) -> None:
                if report is not None:
                    report(name, step, steps, figures)

            record = run_stage(
                shared(stage, self.hardware), model, self.run_dir, seed=self.recipe.seed, report=tell, hardware=self.hardware
            )
            records.append(record)
            self._write_record(records)
        return model.eval()

    def _stage(self, name: str) -> Stage[SspSam]:
        recipe, label_text = self.recipe, self._label_text
        if name == "clip":
            return ClipStage(recipe.clip, self._mixed(DENSE_SHARE_OF_NAMES, in_other_hues), label_text, kept_apart())
        if name == "sam":
            return SamStage(recipe.sam, self._mixed(DENSE_SHARE_OF_CLICKS))
        scenes = SceneSampler([(self._train_set, 1.0)], CLASSES, COLORS, partial(repaint, share=REPAINTED))
        expressions = ExpressionSampler(scenes, self.tokenizer, recipe.expressions_per_image, TRAINING_KIND_WEIGHTS, never_asked)
        if name == "prompt":
            return PromptStage(recipe.prompt, expressions, label_text, kept_apart())
        clicks = SamStage(recipe.sam, scenes, prompts_per_image=6)
        return JointStage(recipe.joint, expressions, label_text, kept_apart(), clicks)

    def _mixed(self, dense_share: float, change: Change | None = None) -> SceneSampler:
        return SceneSampler([(self._dense_set, dense_share), (self._train_set, 1 - dense_share)], CLASSES, COLORS, change)

    def write_weights(self, model: SspSam) -> Path:
        """Choose the presence threshold on calibration scenes and write the weights folder."""
        folder = self.run_dir / "weights" / PROFILE
        write_weights_folder(model, self.tokenizer, folder, release=RELEASE, thresholds=Thresholds())
        # Calibrated on what is shipped: half-precision weights, read back.
        engine = build_engine(open_weights_folder(folder), torch.device("cpu"), EmbeddingCache(0))
        threshold = calibrate_presence(engine, scene_samples(SceneSet(self.data_dir / CALIBRATION)))
        write_weights_folder(model, self.tokenizer, folder, release=RELEASE, thresholds=Thresholds(presence=threshold))
        return folder

    def _write_record(self, records: Sequence[dict[str, Any]]) -> None:
        if self.hardware.rank != 0:
            return
        record = {
            "recipe": asdict(self.recipe),
            "commit": _commit(),
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "processes": self.hardware.processes,
            "vocabulary": list(self.tokenizer.vocabulary or ()),
            "stages": list(records),
        }
        (self.run_dir / "record.json").write_text(json.dumps(record, indent=1) + "\n")


def known_words() -> list[str]:
    """Every word that the tiny model's vocabulary covers."""
    nouns = [noun for name in CLASSES for noun in ways_to_say(name)]
    colours = [word for color in COLORS for word in words_for_color(color)]
    categories = [word for category in CATEGORIES for word in (category, category_plural(category))]
    return [*nouns, *(plural(noun) for noun in nouns), *colours, *categories, *FUNCTION_WORDS.split()]


def in_other_hues(image: Pixels, ids: Pixels, meta: SceneMeta, rng: np.random.Generator) -> tuple[Pixels, SceneMeta]:
    """Some scenes with most objects repainted, some in another light, the rest as they are; a :data:`models.training.batches.Change`."""
    draw = rng.random()
    if draw < SCENES_REPAINTED:
        return repaint(image, ids, meta, rng, MOST)
    if draw < SCENES_REPAINTED + SCENES_RELIT:
        return relight(image, ids, meta, rng)
    return image, meta


def never_asked(expression: Expression, scene_meta: SceneMeta) -> bool:
    """What the engine takes apart before the network reads it, and what only tells that some pairs are kept apart."""
    return len(parts_of(expression.text)) > 1 or tells_apart_what_is_held_out(expression, scene_meta)


def kept_apart() -> Tensor:
    """bool ``[colours, classes]``: which class training never shows in which colour."""
    return torch.tensor([[is_held_out(("color", color, name)) for name in CLASSES] for color in COLORS])


def _commit() -> str:
    """The commit the run was made at, or "unknown" outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    answer = subprocess.run([git, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)  # noqa: S603 (fixed arguments)
    return answer.stdout.strip() or "unknown"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run left behind."""

    folder: Path
    """Checkpoints and logs."""
    weights: Path | None
    """The weights folder, once the last stage is done."""


def train_tiny(data_dir: Path, run_dir: Path, *, until: str | None = None, report: Report | None = None) -> TrainingRun:
    """Make the scenes, train the stages, calibrate, and write the weights.

    Under ``torchrun`` every process calls this alike; they share each step, and the first one writes.

    Args:
        data_dir: scene sets; made when missing.
        run_dir: checkpoints, logs and weights; an unfinished run goes on.
        until: last stage to run; ``None``: all of them.
        report: called with stage, step, steps and figures.

    Returns:
        Without weights where ``until`` is not the last stage, and in all processes but the first.

    Raises:
        ValueError: unknown stage, or a run folder of another recipe.
    """
    last = until or STAGES[-1]
    if last not in STAGES:
        raise ValueError(f"unknown stage {until!r}; the stages are {', '.join(STAGES)}")
    recipe, hardware = TinyRecipe(), SharedSteps(torch.device("cpu"))
    make_scenes(recipe, data_dir, hardware)
    training = TinyTraining(recipe, data_dir, run_dir, hardware)
    model = training.run(last, report)
    if last != STAGES[-1] or hardware.rank != 0:
        return TrainingRun(run_dir, None)
    return TrainingRun(run_dir, training.write_weights(model))


def make_scenes(recipe: TinyRecipe, data_dir: Path, hardware: Hardware = ALONE) -> None:
    """Generate the scene sets that are not there yet; of several processes the first one does, and the others wait."""
    if hardware.rank == 0:
        _make_missing_scenes(recipe, data_dir)
    hardware.sum(torch.zeros(1))


def _make_missing_scenes(recipe: TinyRecipe, data_dir: Path) -> None:
    wanted = [
        ("dense", "train", recipe.dense_scenes, True),
        ("train", "train", recipe.scenes, False),
        (CALIBRATION, CALIBRATION, recipe.calibration_scenes, False),
    ]
    missing = [one for one in wanted if not (data_dir / one[0] / "manifest.json").exists()]
    if missing:
        glyphs = build_bank(data_dir / "glyph_packages")
        for name, split, count, dense in missing:
            generate(data_dir / name, split, count, seed=recipe.scene_seed, glyphs=glyphs, dense=dense)
