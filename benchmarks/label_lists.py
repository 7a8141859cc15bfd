"""Words alone against words corrected by SAM's masks, on the same weights and the same scenes that training never saw.

Run alone: ``.venv/bin/python benchmarks/label_lists.py --scenes 100``. The peer is the plain map of cosines of the same weights. Below, the
same by length of the list: people ask for three labels as well as for a hundred.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.data.emoji_scenes import CLASSES, SceneSet
from models.embedding_cache import EmbeddingCache
from models.evaluation_splits import REPORTED_SPLITS, prepare_split
from models.proposal_evaluation import evaluate_label_lists, evaluate_short_lists, labelled_scenes
from models.proposals import Proposals
from models.sam_mi.presets import Preset, preset_for
from models.sam_mi.weights import build_engine
from models.types import RgbImage
from models.weights_folder import WeightsFolder, find_weights

SCENES_OF_A_SPLIT = 500
"""As many as ``wordmask evaluate`` makes, so that both share the folder."""
LENGTHS = (1, 3, 8, 16, 32, 100)
"""Of lists."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="tiny", help="profile or weights folder")
    parser.add_argument("--split", default="held-out-scenes", help=f"one of {', '.join(REPORTED_SPLITS)}")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"))
    arguments = parser.parse_args()

    folder = find_weights(arguments.profile)
    scenes = prepare_split(arguments.split, SCENES_OF_A_SPLIT, arguments.data)
    cache = EmbeddingCache(2**30)
    preset = preset_for(str(folder.manifest["config"]))
    modes = {"words alone": replace(preset, correction=0.0, mask_agreement=None), "zero-training": preset}
    figures = {name: measure(folder, scenes, arguments.scenes, cache, chosen, trained=False) for name, chosen in modes.items()}
    if "sam_mi" in folder.manifest:
        figures["trained"] = measure(folder, scenes, arguments.scenes, cache, preset, trained=True)

    print(f"{folder.version}, {arguments.split}, {arguments.scenes} scenes, {len(CLASSES)} labels")
    columns = ("miou", "miou_mess", "pixel_accuracy", "ap", "ar100", "ar100_any_label", "points_per_image", "joined_masks_per_object", "ms")
    print(f"{'':16}" + "".join(f"{column:>24}" for column in columns))
    for name, row in figures.items():
        print(f"{name:16}" + "".join(f"{row[column]:24.3f}" for column in columns))
    gain = 100 * (figures["zero-training"]["miou"] - figures["words alone"]["miou"])
    print(f"zero-training is {gain:+.2f} mIoU from words alone")
    lengths = by_length(folder, scenes, arguments.scenes, cache, preset)
    print("\nmIoU of the listed labels that an image shows (labels per image that were found though it does not show them)")
    print(f"{'labels':16}" + "".join(f"{mode:>24}" for mode in next(iter(lengths.values()))))
    for length, row in lengths.items():
        cells = (f"{one['miou']:.3f} ({one['false_labels']:.2f})" for one in row.values())
        print(f"{length:<16}" + "".join(f"{cell:>24}" for cell in cells))
    told = {"version": folder.version, "split": arguments.split, "gain_miou": gain, "modes": figures, "by_length": lengths}
    print(json.dumps(told))


def measure(folder: WeightsFolder, scenes: SceneSet, count: int, cache: EmbeddingCache, preset: Preset, *, trained: bool) -> dict[str, Any]:
    """Scores of one mode, and milliseconds per image behind the image encoders, whose work the modes share."""
    engine = build_engine(folder, torch.device("cpu"), cache, preset=preset, trained=trained)
    seconds = 0.0

    def propose(image: RgbImage, labels: Sequence[str]) -> Proposals:
        nonlocal seconds
        found = engine.propose(image, labels)
        seconds += sum(found.stages.seconds.values())
        return found

    scores = evaluate_label_lists(propose, labelled_scenes(scenes, CLASSES, count), tuple(CLASSES))
    return {**scores, "ms": 1000 * seconds / scores["images"]}


def by_length(
    folder: WeightsFolder, scenes: SceneSet, count: int, cache: EmbeddingCache, preset: Preset
) -> dict[int, dict[str, dict[str, float]]]:
    """Length of the list -> mode -> figures."""
    modes = {"zero-training": False, **({"trained": True} if "sam_mi" in folder.manifest else {})}
    engines = {mode: build_engine(folder, torch.device("cpu"), cache, preset=preset, trained=trained) for mode, trained in modes.items()}
    return {
        length: {
            mode: evaluate_short_lists(engine.propose, labelled_scenes(scenes, CLASSES, count), tuple(CLASSES), length)
            for mode, engine in engines.items()
        }
        for length in LENGTHS
    }


if __name__ == "__main__":
    main()
