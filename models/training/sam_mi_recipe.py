"""How SAM-MI's network is trained behind the shipped encoders, on emoji scenes, from the weights folder of an SSP-SAM."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from models.data.emoji_scenes.dataset import SceneSet
from models.data.emoji_scenes.vocabulary import CLASSES, plural, ways_to_say
from models.devices import Compute
from models.sam_mi.config import SamMiConfig, tiny
from models.sam_mi.injection import GATES
from models.sam_mi.model import SamMi
from models.sam_mi.presets import preset_for
from models.sam_mi.proposer import Proposer
from models.sam_mi.weights import write_joined_folder
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import read_manifest
from models.training.clip_stage import LabelText
from models.training.hardware import ALONE, Hardware, SharedSteps
from models.training.loop import StageConfig, run_stage
from models.training.sam_mi_stage import SamMiStage
from models.training.semantic_batches import SemanticSampler
from models.training.shared_stage import shared
from models.training.tiny_recipe import TinyRecipe, TrainingRun, make_scenes
from models.weights_folder import WeightsFolder, find_weights
from models.weights_tensors import load_weights

DENSE_SHARE = 0.3
"""Dense scenes show three times as many objects, but small ones."""
Report = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class SamMiRecipe:
    """Everything that decides the weights, besides those it starts from."""

    seed: int = 20261122
    network: SamMiConfig = field(default_factory=tiny)
    labels: int = 16
    """Most labels compared in an image; those with the strongest cosines, as when the network is used."""
    without: tuple[str, ...] = ()
    """For ablations: halves of the injection, ``low`` or ``high``, that never open."""
    stage: StageConfig = field(
        default_factory=lambda: StageConfig(steps=1100, batch_size=6, learning_rate=1e-3, warmup_steps=50, optimizer="muon")
    )


def debug_recipe() -> SamMiRecipe:
    """The same in seconds, for tests."""
    short = StageConfig(steps=2, batch_size=2, learning_rate=1e-3, warmup_steps=1, bfloat16=False)
    return SamMiRecipe(labels=6, stage=short)


class SamMiTraining:
    """One run of the recipe.

    Args:
        recipe: what to do.
        base: weights of the SSP-SAM that gives the encoders.
        data_dir: holds the scene sets ``dense`` and ``train``.
        run_dir: checkpoint, log and, in the end, the weights.
        hardware: this process alone, or those that share every step.

    Raises:
        WeightsError: the base is none that this code can build.
    """

    def __init__(self, recipe: SamMiRecipe, base: WeightsFolder, data_dir: Path, run_dir: Path, hardware: Hardware = ALONE) -> None:
        config, tokenizer, _ = read_manifest(base)
        self.recipe, self.base, self.run_dir, self.hardware = recipe, base, run_dir, hardware
        self.encoders = SspSam(config)
        load_weights(base, self.encoders.state_dict())
        self.encoders.eval().requires_grad_(False)
        proposer = Proposer(self.encoders, tokenizer, preset_for(config.name), Compute(torch.device("cpu")))
        dense, normal = SceneSet(data_dir / "dense"), SceneSet(data_dir / "train")
        names = [(*ways_to_say(name), plural(name)) for name in CLASSES]
        sampler = SemanticSampler([(dense, DENSE_SHARE), (normal, 1 - DENSE_SHARE)], CLASSES)
        self.stage = SamMiStage(
            recipe.stage, sampler, LabelText(names, [], tokenizer), tuple(CLASSES), proposer, recipe.labels, recipe.without
        )

    def run(self, report: Report | None = None) -> SamMi:
        """Train from the last checkpoint, if there is one."""
        torch.manual_seed(self.recipe.seed)
        network = SamMi(self.recipe.network)

        def tell(step: int, figures: dict[str, float]) -> None:
            if report is not None:
                report(self.stage.name, step, self.stage.config.steps, figures)

        stage = shared(self.stage, self.hardware)
        record = run_stage(stage, network, self.run_dir, seed=self.recipe.seed, report=tell, hardware=self.hardware)
        whole = {"recipe": asdict(self.recipe), "base": self.base.version, "processes": self.hardware.processes, "stages": [record]}
        if self.hardware.rank == 0:
            (self.run_dir / "record.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        return network.eval()

    def write_weights(self, network: SamMi) -> Path:
        """Both networks in one folder, named as the base."""
        folder = self.run_dir / "weights" / self.base.name
        release = str(self.base.manifest["release"])
        return write_joined_folder(self.base, self.encoders, network, folder, release=release).path


def train_sam_mi(
    data_dir: Path,
    run_dir: Path,
    *,
    base: str | Path = "tiny",
    steps: int | None = None,
    without: Sequence[str] = (),
    report: Report | None = None,
) -> TrainingRun:
    """Make the scenes, train the network, and write it into one folder with its base.

    Under ``torchrun`` every process calls this alike; they share each step, and the first one writes.

    Args:
        data_dir: scene sets; made when missing.
        run_dir: checkpoint, log and weights; an unfinished run goes on.
        base: profile or weights folder of the SSP-SAM to start from.
        steps: in place of the recipe's, for a shorter trial.
        without: halves of the injection that never open, see :class:`SamMiRecipe`.
        report: called with stage, step, steps and figures.

    Raises:
        ValueError: the base cannot be used, or the run folder is that of another recipe.
    """
    unknown = sorted(set(without) - set(GATES))
    if unknown:
        raise ValueError(f"a network cannot be trained without {unknown[0]!r}; the parts that can be left out are {', '.join(GATES)}")
    hardware = SharedSteps(torch.device("cpu"))
    make_scenes(TinyRecipe(), data_dir, hardware)
    recipe = SamMiRecipe(without=tuple(without))
    if steps is not None:
        recipe = replace(recipe, stage=replace(recipe.stage, steps=steps))
    training = SamMiTraining(recipe, find_weights(base), data_dir, run_dir, hardware)
    network = training.run(report)
    return TrainingRun(run_dir, training.write_weights(network) if hardware.rank == 0 else None)
