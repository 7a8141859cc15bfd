"""How the shipped model was made: eighteen stages on emoji scenes, from nothing.

1. ``clip``: names and colours, patch by patch. 2. ``sam``: masks for clicks and boxes, from CLIP's encoder as a start. 3. ``prompt``: the
head, on frozen encoders. 4. ``joint``: everything together. 5. ``names``: CLIP's image tower learns on. 6. ``head``: the head, on what the
tower has become. 7. ``masks``: SAM learns on. 8. ``last``: the head and SAM together. 9. ``colors``: the same, on scenes in other colours.
10. ``boxes``: SAM learns on, with boxes that fit more closely. 11. ``final``: the head and SAM together once more; then the mean of what
the last four left. 12. to 14. ``boxes2`` to ``boxes4``: SAM away from there as in stage 10, and half of the way back. 15. ``groups``: the
head, where expressions mean those of one colour or of two, and half of the way back. 16. ``several``: the same, where they mean several of
any kind. 17. ``hues``: CLIP's whole image tower, on scenes in other colours and other light. 18. ``settle``: the head, on what
the tower has become; then the tower goes three tenths of its way back. The stages are scheduled by step and resume after a kill.
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
from torch import Tensor, nn

from models.data.emoji_scenes.dataset import SceneSet, generate
from models.data.emoji_scenes.glyphs import build_bank
from models.data.emoji_scenes.grammar import KIND_WEIGHTS, tells_apart_what_is_held_out
from models.data.emoji_scenes.light import relight
from models.data.emoji_scenes.meta import SceneMeta
from models.data.emoji_scenes.repaint import Pixels, repaint
from models.data.emoji_scenes.splits import is_held_out
from models.data.emoji_scenes.vocabulary import CATEGORIES, CLASSES, COLORS, category_plural, plural, ways_to_say, words_for_color
from models.embedding_cache import EmbeddingCache
from models.evaluation_splits import scene_samples
from models.ssp_sam.config import tiny
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.sam_masks import positional_code
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.ssp_sam.weights import build_engine, write_weights_folder
from models.training.batches import Change, SceneSampler
from models.training.calibration import calibrate_presence
from models.training.clip_stage import ClipStage, HuesStage, LabelText, NamesStage
from models.training.hardware import ALONE, Hardware, SharedSteps
from models.training.loop import Stage, StageConfig, run_stage
from models.training.prompt_stage import (
    GROUPS_KIND_WEIGHTS,
    JOINT_KIND_WEIGHTS,
    LAST_KIND_WEIGHTS,
    SETTLE_KIND_WEIGHTS,
    SEVERAL_KIND_WEIGHTS,
    ExpressionSampler,
    HeadStage,
    JointStage,
    LastStage,
    PromptStage,
    nothing_left_out,
)
from models.training.sam_stage import USUAL_BOX_JITTER, SamStage
from models.training.shared_stage import shared
from models.weights_folder import open_weights_folder

DENSE_SHARE_OF_NAMES = 0.7
"""Dense scenes show three times as many objects for the same work."""
DENSE_SHARE_OF_NAMES_LATER = 0.5
"""Fewer, once the names that a dense scene teaches are there."""
DENSE_SHARE_OF_CLICKS = 0.3
"""Their objects are small, though: at the share above, masks of large objects stayed holes and rags."""
REPAINTED = {"colors": 0.3, "final": 0.15, "groups": 0.3, "several": 0.15, "settle": 0.4}
"""Of the objects, by stage."""
SCENES_REPAINTED, SCENES_RELIT = 0.55, 0.2
"""Of the scenes of the stage ``hues``; the rest are as they are."""
MOST = 0.7
"""Of a repainted scene's objects there."""
KIND_WEIGHTS_OF = {
    "prompt": KIND_WEIGHTS, "joint": JOINT_KIND_WEIGHTS, "groups": GROUPS_KIND_WEIGHTS, "several": SEVERAL_KIND_WEIGHTS,
    "settle": SETTLE_KIND_WEIGHTS,
}  # fmt: skip
"""How often each kind of expression is drawn, by stage; elsewhere ``LAST_KIND_WEIGHTS``."""
CLOSER_BOXES = ("boxes2", "boxes3", "boxes4")
"""Stages that are all alike."""
BOX_JITTER = dict.fromkeys(("boxes", "final", *CLOSER_BOXES), 0.04)
"""By stage, half of the usual: masks cut at the tight box were better than masks as they came, so SAM had seen too few boxes that fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyRecipe:
    """Everything that decides the weights."""

    seed: int = 20261121
    scene_seed: int = 2026
    dense_scenes: int = 14000
    scenes: int = 24000
    calibration_scenes: int = 400
    clip: StageConfig = field(default_factory=lambda: StageConfig(steps=3000, batch_size=16, learning_rate=1e-3))
    sam: StageConfig = field(default_factory=lambda: StageConfig(steps=2200, batch_size=16, learning_rate=8e-4))
    prompt: StageConfig = field(default_factory=lambda: StageConfig(steps=1000, batch_size=8, learning_rate=1e-3, warmup_steps=60))
    joint: StageConfig = field(default_factory=lambda: StageConfig(steps=1000, batch_size=10, learning_rate=4e-4))
    names: StageConfig = field(default_factory=lambda: StageConfig(steps=3200, batch_size=16, learning_rate=7e-4, warmup_steps=100))
    head: StageConfig = field(default_factory=lambda: StageConfig(steps=750, batch_size=8, learning_rate=6e-4, warmup_steps=40))
    masks: StageConfig = field(default_factory=lambda: StageConfig(steps=2800, batch_size=16, learning_rate=6e-4))
    last: StageConfig = field(default_factory=lambda: StageConfig(steps=700, batch_size=10, learning_rate=4e-4))
    colors: StageConfig = field(default_factory=lambda: StageConfig(steps=520, batch_size=10, learning_rate=3.5e-4, warmup_steps=40))
    boxes: StageConfig = field(default_factory=lambda: StageConfig(steps=840, batch_size=16, learning_rate=5e-4, warmup_steps=40))
    final: StageConfig = field(default_factory=lambda: StageConfig(steps=150, batch_size=10, learning_rate=2.5e-4, warmup_steps=40))
    closer_boxes: StageConfig = field(default_factory=lambda: StageConfig(steps=620, batch_size=16, learning_rate=4e-4, warmup_steps=40))
    groups: StageConfig = field(default_factory=lambda: StageConfig(steps=400, batch_size=16, learning_rate=3e-4, warmup_steps=30))
    several: StageConfig = field(default_factory=lambda: StageConfig(steps=300, batch_size=16, learning_rate=4e-4, warmup_steps=30))
    hues: StageConfig = field(default_factory=lambda: StageConfig(steps=8400, batch_size=16, learning_rate=6e-4))
    settle: StageConfig = field(default_factory=lambda: StageConfig(steps=3500, batch_size=16, learning_rate=5e-4, warmup_steps=40))
    expressions_per_image: int = 8


def debug_recipe() -> TinyRecipe:
    """The same stages in seconds, for tests: a handful of scenes, two steps a stage."""
    short = StageConfig(steps=2, batch_size=2, learning_rate=1e-4, warmup_steps=1, bfloat16=False)
    return TinyRecipe(
        dense_scenes=6, scenes=6, calibration_scenes=4, clip=short, sam=short, prompt=short, joint=short, names=short, head=short,
        masks=short, last=short, colors=short, boxes=short, final=short, closer_boxes=short, groups=short,
        several=short, hues=short, settle=short, expressions_per_image=2,
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
RELEASE = "0.7.0"
"""Of the weights; part of the version that Label Studio shows."""
AVERAGED = ("last", "colors", "boxes", "final")
"""Stages whose ends are averaged, number by number, after the last: they lie around one minimum, and their middle is better than any."""
HALVED = (*CLOSER_BOXES, "groups", "several")
"""Stages after which the mean of the network before and after them goes on."""
TOWER, TOWER_WAY = "clip.visual.", 0.7
"""How far the tower goes from before ``hues`` to after it, once the head has settled behind the whole of it: all of the way, it knows names
best, and colours of things of one kind worse."""
STAGES = ("clip", "sam", "prompt", "joint", "names", "head", "masks", *AVERAGED, *CLOSER_BOXES, "groups", "several", "hues", "settle")
Report = Callable[[str, int, int, dict[str, float]], None]
State = dict[str, Tensor]
"""The numbers of a network by name."""


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
        """Train up to and including stage ``until``, averaging on the way; finished stages are read from their checkpoints."""
        if until not in STAGES:
            raise ValueError(f"unknown stage {until!r}; the stages are {', '.join(STAGES)}")
        torch.manual_seed(self.recipe.seed)
        model = SspSam(self.config).to(memory_format=torch.channels_last)
        records: list[dict[str, Any]] = []
        before: dict[str, State] = {}
        ends: dict[str, State] = {}
        for name in STAGES[: STAGES.index(until) + 1]:
            stage = self._stage(name)
            before[name] = _copy_of(model)
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
            ends[name] = _copy_of(model)
            model.load_state_dict(_goes_on(name, before, ends))
        return model.eval()

    def _stage(self, name: str) -> Stage[SspSam]:
        recipe = self.recipe
        if name == "clip":
            return ClipStage(recipe.clip, self._mixed(DENSE_SHARE_OF_NAMES), self._label_text)
        box_jitter = BOX_JITTER.get(name, USUAL_BOX_JITTER)
        if name in ("sam", "masks", "boxes", *CLOSER_BOXES):
            config = recipe.closer_boxes if name in CLOSER_BOXES else getattr(recipe, name)
            return SamStage(config, self._mixed(DENSE_SHARE_OF_CLICKS), name=name, box_jitter=box_jitter)
        if name == "names":
            return NamesStage(recipe.names, self._mixed(DENSE_SHARE_OF_NAMES_LATER), self._label_text)
        if name == "hues":
            scenes = self._mixed(DENSE_SHARE_OF_NAMES_LATER, in_other_hues)
            return HuesStage(recipe.hues, scenes, self._label_text, kept_apart())
        change = partial(repaint, share=REPAINTED[name]) if name in REPAINTED else None
        scenes = SceneSampler([(self._train_set, 1.0)], CLASSES, COLORS, change)
        expressions = ExpressionSampler(
            scenes, self.tokenizer, recipe.expressions_per_image, KIND_WEIGHTS_OF.get(name, LAST_KIND_WEIGHTS),
            tells_apart_what_is_held_out if name == "settle" else nothing_left_out,
        )  # fmt: skip
        if name in ("head", "groups", "several", "settle"):
            return HeadStage(getattr(recipe, name), expressions, name)
        if name == "prompt":
            return PromptStage(recipe.prompt, expressions, self._label_text)
        clicks = SamStage(recipe.sam, scenes, prompts_per_image=6, box_jitter=box_jitter)
        if name == "joint":
            return JointStage(recipe.joint, expressions, self._label_text, clicks)
        return LastStage(getattr(recipe, name), expressions, clicks, name)

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


def kept_apart() -> Tensor:
    """bool ``[colours, classes]``: which class training never shows in which colour."""
    return torch.tensor([[is_held_out(("color", color, name)) for name in CLASSES] for color in COLORS])


def _goes_on(stage: str, before: Mapping[str, State], ends: Mapping[str, State]) -> State:
    """The network that goes on after a stage, from what it and those before it began with and left."""
    if stage == AVERAGED[-1]:
        return mean_of([ends[name] for name in AVERAGED])
    if stage in HALVED:
        return mean_of([before[stage], ends[stage]])
    if stage == "settle":
        return part_of_the_way(before["hues"], ends[stage], TOWER, TOWER_WAY)
    return ends[stage]


def _copy_of(model: SspSam) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


def part_of_the_way(before: State, after: State, prefix: str, share: float) -> State:
    """``after``, of which the tensors under ``prefix`` are a share of the way from ``before`` to there."""
    return {
        name: torch.lerp(before[name], value, share) if name.startswith(prefix) and value.is_floating_point() else value
        for name, value in after.items()
    }


def mean_of(states: Sequence[State]) -> State:
    """The mean of each tensor over states of one network ("model soup", arXiv 2203.05482); counters are those of the last."""
    mean = dict(states[-1])
    for name, value in mean.items():
        if value.is_floating_point():
            mean[name] = torch.stack([state[name] for state in states]).mean(dim=0)
    return mean


@torch.no_grad()
def start_sam_from_clip(model: SspSam) -> None:
    """Copy what CLIP's image tower has learned into SAM's image encoder, where shapes agree.

    What tells a cat from a dog also tells it from the grass. Without this start the click stage learns several times slower.
    """
    clip, sam = model.clip.visual, model.sam.image_encoder
    sam.patch_embed.load_state_dict(clip.conv1.state_dict())
    side = model.config.sam.grid
    sam.pos_embed.copy_(clip.positional_embedding[1:].unflatten(0, (side, side)).unsqueeze(0))
    for source, target in zip(clip.transformer.resblocks, sam.blocks, strict=False):
        pairs: list[tuple[Tensor, Tensor]] = [
            (target.attn.qkv.weight, source.attn.in_proj_weight),
            (target.attn.qkv.bias, source.attn.in_proj_bias),
            (target.attn.proj.weight, source.attn.out_proj.weight),
            (target.attn.proj.bias, source.attn.out_proj.bias),
        ]
        modules = [
            (target.norm1, source.ln_1),
            (target.norm2, source.ln_2),
            (target.mlp.lin1, source.mlp.c_fc),
            (target.mlp.lin2, source.mlp.c_proj),
        ]
        pairs += [(getattr(a, part), getattr(b, part)) for a, b in modules for part in ("weight", "bias")]
        for to, value in pairs:
            to.copy_(value)


@torch.no_grad()
def start_head(model: SspSam) -> None:
    """Bring what the head adds up to one size, so that it sees what is there as clearly as where.

    With default initialisation, what the patches of an image show differed by 0.0008 (standard deviation) where their positional code
    differs by 0.4 and the generator's table of positions by 1.0: several products of small numbers stand before the sum.
    """
    visual, generator = model.visual_adapter, model.generator
    first, *others = [layer.weight for layer in visual.patch_mlp.layers if isinstance(layer, nn.Linear)]
    first.mul_(model.config.clip.embed_dim**0.5)  # its input has length 1, not variance 1
    for weight in others:
        weight.mul_(2)
    visual.gaussian_sigma.fill_(1.0)
    model.linguistic_adapter.word_projection.weight.mul_(2)
    generator.mix.weight.mul_(6)
    generator.positions.weight.mul_(0.1)
    if generator.position_mix is not None:
        code = positional_code(model.sam)
        generator.position_mix.weight.copy_(smooth_position_weight(code, model.config.sam.grid))
        generator.position_mix.bias.zero_()
    if model.presence_head is not None:
        *_, last = [layer.bias for layer in model.presence_head.relevance.layers if isinstance(layer, nn.Linear)]
        last.fill_(-3.0)  # one patch in twenty is meant; from one half, the first steps would be spent on saying so


STARTS: Mapping[str, Callable[[SspSam], None]] = {"sam": start_sam_from_clip, "prompt": start_head}
"""What happens to the network before a stage."""


def smooth_position_weight(code: Tensor, side: int) -> Tensor:
    """A linear map of SAM's positional code that starts as a smooth picture of "where".

    The code is made of waves that cross the image about twice; "left" is a slow function of them that gradients are long in finding.

    Args:
        code: float ``[side * side, d]``, cells row by row.
        side: cells along one side.

    Returns:
        float ``[d, d]``: its image of the code is, as nearly as a ridge regression gets, random mixtures of x, y and their products, of
        size one.
    """
    y, x = (axis.flatten() for axis in torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij"))
    smooth = torch.stack([2 * x, 2 * y, x * y, x.square() - x.square().mean(), y.square() - y.square().mean()], dim=1)
    wanted = smooth @ torch.randn(smooth.shape[1], code.shape[1])
    wanted = wanted / wanted.square().mean().sqrt()
    ridge = 0.1 * torch.eye(code.shape[1])
    weight: Tensor = torch.linalg.solve(code.T @ code + ridge, code.T @ wanted).T
    return weight


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


def train_tiny(data_dir: Path, run_dir: Path, *, until: str | None = None, threads: int = 0, report: Report | None = None) -> TrainingRun:
    """Make the scenes, train the stages, calibrate, and write the weights.

    Under ``torchrun`` every process calls this alike; they share each step, and the first one writes.

    Args:
        data_dir: scene sets; made when missing.
        run_dir: checkpoints, logs and weights; an unfinished run goes on.
        until: last stage to run; ``None``: all of them.
        threads: to compute with; 0 leaves the choice to torch.
        report: called with stage, step, steps and figures.

    Returns:
        Without weights where ``until`` is not the last stage, and in all processes but the first.

    Raises:
        ValueError: unknown stage, or a run folder of another recipe.
    """
    if threads:
        torch.set_num_threads(threads)
    recipe, hardware = TinyRecipe(), SharedSteps(torch.device("cpu"))
    make_scenes(recipe, data_dir, hardware)
    training = TinyTraining(recipe, data_dir, run_dir, hardware)
    last = until or STAGES[-1]
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
