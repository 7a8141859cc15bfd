"""What a label of a list must reach (models/sam_mi/presets.py), by length of the list: ``trained_yes``, a probability of the trained
network, and ``background_cosine``, which words alone must reach where nothing is trained.

Run alone: ``.venv/bin/python benchmarks/label_list_threshold.py --scenes 150`` and the same with ``--of background_cosine``. On calibration
scenes, which are never reported: here the shipped thresholds are chosen. The peer is the threshold that ships.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.data.emoji_scenes import CLASSES, SceneSet, build_bank, generate
from models.embedding_cache import EmbeddingCache
from models.evaluation_splits import EVALUATION_SEED
from models.proposal_evaluation import evaluate_short_lists, labelled_scenes
from models.sam_mi.presets import preset_for
from models.sam_mi.weights import build_engine
from models.training.tiny_recipe import CALIBRATION
from models.weights_folder import WeightsFolder, find_weights

TRIED = {
    "trained_yes": (0.35, 0.4, 0.45, 0.5, 0.55, 0.6),
    "background_cosine": (0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
}
"""Threshold -> values, unless others are asked for."""
LENGTHS = (1, 4, 16, len(CLASSES))
"""Of lists."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="tiny", help="profile or weights folder")
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--of", choices=TRIED, default="trained_yes", help="which threshold")
    parser.add_argument("--values", type=float, nargs="+", help="what to try in place of the usual values")
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"))
    arguments = parser.parse_args()

    folder = find_weights(arguments.profile)
    scenes, cache = calibration_scenes(arguments.scenes, arguments.data), EmbeddingCache(2**30)
    shipped = getattr(preset_for(str(folder.manifest["config"])), arguments.of)
    print(
        f"{folder.version}, {arguments.scenes} calibration scenes; mIoU of the listed labels that an image shows (false labels per image)"
    )
    print(f"{arguments.of:<20}" + "".join(f"{length:>16}" for length in LENGTHS) + f"{'mean':>10}")
    means: dict[float, float] = {}
    for value in sorted({*(arguments.values or TRIED[arguments.of]), shipped}):
        rows = [by_length(folder, scenes, cache, arguments.of, value, length) for length in LENGTHS]
        means[value] = sum(row["miou"] for row in rows) / len(rows)
        cells = "".join(f"{row['miou']:.3f} ({row['false_labels']:.2f})".rjust(16) for row in rows)
        print(f"{value:<20}{cells}{means[value]:>10.3f}", flush=True)
    best = max(means, key=lambda value: means[value])
    gain = 100 * (means[best] - means[shipped])
    print(f"the best is {best}, {gain:+.2f} mIoU from the one that ships ({shipped})")
    print(json.dumps({"version": folder.version, "of": arguments.of, "means": means, "best": best, "shipped": shipped, "gain_miou": gain}))


def calibration_scenes(count: int, data: Path) -> SceneSet:
    """Made if they are missing."""
    place = data / f"{CALIBRATION}-{count}"
    if not (place / "manifest.json").exists():
        generate(place, CALIBRATION, count, seed=EVALUATION_SEED, glyphs=build_bank(data / "glyph_packages"), workers=1, progress=False)
    return SceneSet(place)


def by_length(folder: WeightsFolder, scenes: SceneSet, cache: EmbeddingCache, of: str, value: float, length: int) -> dict[str, float]:
    """Figures of one threshold and one length of lists, in the mode that has the threshold."""
    changed: dict[str, Any] = {of: value}
    preset = replace(preset_for(str(folder.manifest["config"])), **changed)
    engine = build_engine(folder, torch.device("cpu"), cache, preset=preset, trained=of == "trained_yes")
    return evaluate_short_lists(engine.propose, labelled_scenes(scenes, CLASSES), tuple(CLASSES), length)


if __name__ == "__main__":
    main()
