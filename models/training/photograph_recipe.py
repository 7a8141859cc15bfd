"""How SAM-MI's network is trained on photographs, for whoever has a GPU: CLIP ViT-B/16 and SAM ViT-B, frozen, on COCO-Stuff.

The schedule is that of the base (spec 5.8). Nobody has run it to its end here; a test runs it on a small sample in COCO-Stuff's own layout.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from models.data.readers.label_maps import LabelMapFolder
from models.devices import Compute, choose_device
from models.sam_mi.config import SamMiConfig, clip_vit_b_sam_vit_b
from models.sam_mi.model import SamMi
from models.sam_mi.presets import preset_for
from models.sam_mi.proposer import Proposer
from models.sam_mi.trained import check_fits
from models.sam_mi.weights import write_joined_folder
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import read_manifest
from models.training.clip_stage import LabelText
from models.training.hardware import OneProcess
from models.training.label_map_batches import LabelMapSampler
from models.training.loop import StageConfig, run_stage
from models.training.sam_mi_stage import SamMiStage
from models.training.tiny_recipe import TrainingRun
from models.weights_folder import WeightsFolder, find_weights
from models.weights_tensors import load_weights

Report = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotographRecipe:
    """Everything that decides the weights, besides images and encoders."""

    name: str
    seed: int = 20261123
    network: SamMiConfig = field(default_factory=clip_vit_b_sam_vit_b)
    split: str = "train2017"
    labels: int = 171
    """Labels compared in a step: all that COCO-Stuff has."""
    stage: StageConfig = field(
        default_factory=lambda: StageConfig(
            steps=80_000, batch_size=4, learning_rate=2e-4, warmup_steps=0, weight_decay=1e-4, clip_norm=0.01, final_learning_rate_ratio=0.0
        )
    )


def coco_stuff_vit_b() -> PhotographRecipe:
    """COCO-Stuff's 118 000 training images behind CLIP ViT-B/16 and SAM ViT-B."""
    return PhotographRecipe(name="coco-stuff-vit-b")


def train_on_photographs(
    recipe: PhotographRecipe,
    dataset: Path,
    run_dir: Path,
    *,
    base: str | Path,
    split: str | None = None,
    steps: int | None = None,
    device: str = "auto",
    report: Report | None = None,
) -> TrainingRun:
    """Train the network behind finished encoders, and write it into one folder with them.

    Args:
        recipe: what to do.
        dataset: folder in COCO-Stuff's or ADE20K's layout, see :mod:`models.data.readers.label_maps`.
        run_dir: checkpoint, log and weights; an unfinished run goes on.
        base: profile or weights folder that holds the encoders.
        split: in place of the recipe's.
        steps: in place of the recipe's, for a shorter trial.
        device: where to compute, as for :func:`models.load_engine`.
        report: called with stage, step, steps and figures.

    Raises:
        ValueError: base or data cannot be used, or the run folder is that of another recipe.
    """
    if split is not None:
        recipe = replace(recipe, split=split)
    if steps is not None:
        recipe = replace(recipe, stage=replace(recipe.stage, steps=steps))
    folder, where = find_weights(base), choose_device(device)
    stage, encoders = _prepare(recipe, LabelMapFolder(dataset), folder, where)
    torch.manual_seed(recipe.seed)
    network = SamMi(recipe.network)

    def tell(step: int, figures: dict[str, float]) -> None:
        if report is not None:
            report(stage.name, step, stage.config.steps, figures)

    record = run_stage(stage, network.to(where), run_dir, seed=recipe.seed, report=tell, hardware=OneProcess(where))
    whole = {"recipe": asdict(recipe), "base": folder.version, "stages": [record]}
    (run_dir / "record.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    out, release = run_dir / "weights" / recipe.name, str(folder.manifest["release"])
    return TrainingRun(run_dir, write_joined_folder(folder, encoders.cpu(), network.cpu().eval(), out, release=release).path)


def _prepare(recipe: PhotographRecipe, dataset: LabelMapFolder, base: WeightsFolder, device: torch.device) -> tuple[SamMiStage, SspSam]:
    config, tokenizer, _ = read_manifest(base)
    check_fits(recipe.network, config)
    encoders = SspSam(config)
    load_weights(base, encoders.state_dict())
    encoders = encoders.to(device).eval().requires_grad_(False)
    names = tuple(category.name for category in dataset.categories)
    proposer = Proposer(encoders, tokenizer, preset_for(config.name), Compute(device))
    sampler = LabelMapSampler(dataset, recipe.split, config)
    text = LabelText([[name] for name in names], [], tokenizer)
    return SamMiStage(recipe.stage, sampler, text, names, proposer, recipe.labels), encoders


PHOTOGRAPH_RECIPES: dict[str, Callable[[], PhotographRecipe]] = {make().name: make for make in (coco_stuff_vit_b,)}
"""Name -> recipe."""
