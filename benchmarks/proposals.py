"""Label lists against the two usual ways to combine words with SAM, and the price of many labels.

Run alone: ``.venv/bin/python benchmarks/proposals.py``. The peers (``proposal_peers.py``) are made of the same weights and see the same
images: the automatic mask generator of the package ``segment_anything`` with its grid of 32 x 32 points and a majority vote of the words'
map, and a pipeline after Grounded SAM: a box around every region of a label, SAM's mask of every box. Quality is measured on emoji scenes
that training never saw; random weights of real size (ViT-B) tell time only, and there we ask SAM as often as the settings ever allow.

The last line is one JSON object. ``prompt_share`` is our number of point prompts over that of the grid; ``speedup_grid_tiny`` and
``speedup_grid_vit_b`` are the grid's time for one image, encoders included, over ours; ``speedup_grounded`` that of the box pipeline as the
official Label Studio example works, one request with all encoders per label that shows, and ``speedup_grounded_shared`` the same with one
encoding for all labels. ``miou``, ``miou_grid`` (the better of two sets of thresholds) and ``miou_grounded`` judge every pixel.
``label_map_price`` is the time behind the encoders on an image of 16 megapixels with the label of every pixel over that without: regions
for Label Studio need none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what is not installed: tools, and the files beside this one

from benchmarks.engine import memory_mib, pictures, table
from benchmarks.proposal_peers import GRID_SIDE, Answer, Parts
from models.data.emoji_scenes import CLASSES, COLORS, SceneSet
from models.devices import Compute
from models.embedding_cache import EmbeddingCache
from models.evaluation_splits import REPORTED_SPLITS, prepare_split
from models.proposal_evaluation import labelled_scenes
from models.proposals import ProposalOptions
from models.sam_mi.canvas import image_slices
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.presets import Preset
from models.sam_mi.proposer import Frames, Look, Proposer
from models.sam_mi.region_points import Points
from models.sam_mi.weights import build_engine
from models.semantic_metrics import BACKGROUND, Counts, count_pairs, semantic_scores
from models.ssp_sam.config import ssp_sam_224_vit_b
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.sam_masks import encode_image
from models.ssp_sam.weights import tokenizer_for
from models.types import RgbImage
from models.weights_folder import WeightsFolder, find_weights

SCENES_OF_A_SPLIT = 500
"""As many as ``wordmask evaluate`` makes, so that both share the folder."""
REPEATS = 3
PHOTOGRAPH_SIDE = 4000
"""Pixels."""
OURS, ZERO, GRID, OWN_GRID, GROUNDED, SHARED = "ours", "zero-training", "grid", "grid, its thresholds", "boxes", "boxes, one encoding"

Pipeline = Callable[[RgbImage, Sequence[str]], Answer]


class MostPoints(Proposer):
    """Random weights mark nothing: asks as many points as the settings allow, whatever the words say."""

    def place_points(self, look: Look, features: ImageFeatures, frames: Frames) -> Points:
        side = look.words.nothing.shape[-1] // 2
        rows, columns = image_slices(frames.clip, side)
        per_axis = round(self.preset.most_points**0.5)
        ys, xs = (np.linspace(part.start, part.stop - 1, per_axis).round() for part in (rows, columns))
        cells = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        return Points(cells, np.zeros((len(cells), side, side), np.bool_))


def random_vit_b() -> SamMiEngine:
    """CLIP ViT-B/16 and SAM ViT-B that know nothing; every mask is kept, which only costs us time."""
    config = ssp_sam_224_vit_b()
    torch.manual_seed(0)
    model, tokenizer = SspSam(config), tokenizer_for(config)
    preset = Preset(templates="plain", mask_iou=0.0, stability=0.0)
    options = {
        "name": config.name,
        "version": "random",
        "device": torch.device("cpu"),
        "thresholds": Thresholds(),
        "cache": EmbeddingCache(0),
    }
    engine = SamMiEngine(model, tokenizer, preset, **options)  # type: ignore[arg-type]
    engine._proposer = MostPoints(engine._model, tokenizer, preset, Compute(torch.device("cpu")))
    return engine


def pipelines(engine: SamMiEngine, zero: SamMiEngine | None = None) -> dict[str, Pipeline]:
    """Name -> pipeline, all on the weights of ``engine``."""
    parts = Parts(engine)

    def of(one: SamMiEngine) -> Pipeline:
        def propose(image: RgbImage, labels: Sequence[str]) -> Answer:
            found = one.propose(image, labels)
            return Answer(found.label_map, len(found.stages.points), 1)

        return propose

    found: dict[str, Pipeline] = {OURS: of(engine)}
    if zero is not None:
        found[ZERO] = of(zero)
    return found | {
        GRID: parts.grid_and_vote,
        OWN_GRID: lambda image, labels: parts.grid_and_vote(image, labels, own_thresholds=True),
        GROUNDED: parts.boxes,
        SHARED: lambda image, labels: parts.boxes(image, labels, per_label=False),
    }


@torch.inference_mode()
def quality(compared: dict[str, Pipeline], scenes: SceneSet, count: int) -> dict[str, dict[str, float]]:
    """Pipeline -> mIoU and pixel accuracy in percent, mean seconds, prompts and encodings per scene; side by side on every scene."""
    side = len(CLASSES) + 1
    counts: dict[str, Counts] = {name: np.zeros((side, side), np.int64) for name in compared}
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    answers: dict[str, list[Answer]] = {name: [] for name in compared}
    for number, wanted in enumerate(labelled_scenes(scenes, CLASSES, count)):
        for name, pipeline in compared.items():
            if number == 0:
                pipeline(wanted.image, CLASSES)  # the texts of the labels, and whatever else happens once
            start = time.perf_counter()
            answer = pipeline(wanted.image, CLASSES)
            seconds[name].append(time.perf_counter() - start)
            counts[name] += count_pairs(wanted.label_map, answer.label_map, len(CLASSES))
            answers[name].append(answer)
    rows = {}
    for name in compared:
        scores = semantic_scores(counts[name], CLASSES, BACKGROUND)
        rows[name] = {
            "miou": 100 * (scores.miou or 0.0),
            "pixel_accuracy": 100 * (scores.pixel_accuracy or 0.0),
            # Not the median: the box pipeline's time comes in steps, one per label that shows, and a median jumps from one to the next.
            "seconds": statistics.fmean(seconds[name]),
            "prompts": statistics.fmean(answer.prompts for answer in answers[name]),
            "encodings": statistics.fmean(answer.encodings for answer in answers[name]),
        }
    return rows


@torch.inference_mode()
def stages(engine: SamMiEngine, image: RgbImage, labels: Sequence[str], repeats: int = REPEATS) -> dict[str, float]:
    """Median milliseconds of each stage for one image; the labels are known."""
    model, images = engine._model, engine._images
    clip, sam = (encoding.prepare(image)[None] for encoding in (images.clip, images.sam))
    encoders: dict[str, Callable[[], Any]] = {
        "resize and normalise": lambda: (images.clip.prepare(image), images.sam.prepare(image)),
        "CLIP's image encoder": lambda: images.clip.encode([clip[0]]),
        "SAM's image encoder": lambda: encode_image(model.sam, sam),
    }
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, work in encoders.items():
            start = time.perf_counter()
            work()
            found.setdefault(name, []).append(time.perf_counter() - start)
        for name, seconds in engine.propose(image, labels).stages.seconds.items():
            found.setdefault(name.replace("_", " "), []).append(seconds)
    return {name: 1e3 * statistics.median(values) for name, values in found.items()}


def vit_b(images: Sequence[RgbImage], labels: Sequence[str]) -> tuple[float, dict[str, float]]:
    """The grid's time over ours, and our stages, at random weights of real size."""
    engine = random_vit_b()
    ours, grid = engine.propose, Parts(engine).grid_and_vote
    seconds: dict[str, list[float]] = {OURS: [], GRID: []}
    with torch.inference_mode():
        engine._proposer._text(labels)
        for image in images:
            for name in (OURS, GRID, OURS):  # the grid takes so long that the machine may change under it
                start = time.perf_counter()
                _ = ours(image, labels) if name == OURS else grid(image, labels, own_thresholds=True)
                seconds[name].append(time.perf_counter() - start)
    return statistics.median(seconds[GRID]) / statistics.median(seconds[OURS]), stages(engine, images[0], labels, 1)


def many_names(count: int) -> list[str]:
    """So many different names: classes, then the same in every colour."""
    return [*CLASSES, *(f"{color} {name}" for color in COLORS for name in CLASSES)][:count]


@torch.inference_mode()
def by_labels(engine: SamMiEngine, image: RgbImage, sizes: Sequence[int]) -> dict[int, dict[str, float]]:
    """Number of labels -> milliseconds of their texts (once), of the image's encoders, of all else, and the most memory so far in MiB."""
    rows = {}
    for size in sorted(sizes):
        names = many_names(size)
        engine._proposer._text._known.clear()
        start = time.perf_counter()
        engine._proposer._text(names)
        texts = time.perf_counter() - start
        encoders, rest = [], []
        for _ in range(REPEATS):
            start = time.perf_counter()
            engine._images.features(image)
            encoders.append(time.perf_counter() - start)
            rest.append(sum(engine.propose(image, names).stages.seconds.values()))
        rows[size] = {
            "texts_ms": 1e3 * texts,
            "encoders_ms": 1e3 * statistics.median(encoders),
            "rest_ms": 1e3 * statistics.median(rest),
            "memory_mib": memory_mib(torch.device("cpu")),
        }
    return rows


def price_of_label_map(engine: SamMiEngine, image: RgbImage, labels: Sequence[str]) -> float:
    """Time behind the image encoders with a label map over that without, on the image enlarged to the size of a photograph."""
    large = np.asarray(Image.fromarray(image).resize((PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE)))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(REPEATS):
        for is_wanted, taken in seconds.items():
            found = engine.propose(large, labels, options=ProposalOptions(label_map=is_wanted))
            taken.append(sum(found.stages.seconds.values()))
    return statistics.median(seconds[True]) / statistics.median(seconds[False])


def print_stages(title: str, milliseconds: dict[str, float]) -> None:
    """A table of stages with their shares."""
    whole = sum(milliseconds.values())
    rows = ((name, f"{value:.1f}", f"{value / whole:.1%}") for name, value in [*milliseconds.items(), ("together", whole)])
    table(title, ("stage", "ms", "share"), rows)


def compare(folder: WeightsFolder, scenes: SceneSet, count: int, sizes: Sequence[int]) -> dict[str, Any]:
    """Everything on the given weights; prints its tables."""
    cpu = torch.device("cpu")
    is_trained = "sam_mi" in folder.manifest
    engine = build_engine(folder, cpu, EmbeddingCache(0))
    zero = build_engine(folder, cpu, EmbeddingCache(0), trained=False) if is_trained else None
    image = next(iter(labelled_scenes(scenes, CLASSES, 1))).image
    lists = by_labels(engine, image, sizes)  # first, as memory never shrinks
    table(
        "number of labels",
        ("labels", "texts, once, ms", "image encoders, ms", "all else, ms", "most memory so far, MiB"),
        ((str(size), *(f"{value:.0f}" for value in row.values())) for size, row in lists.items()),
    )
    shares = stages(engine, image, CLASSES)
    print_stages(f"stages of ours, {len(CLASSES)} labels", shares)
    map_price = price_of_label_map(engine, image, CLASSES)
    print(f"at {PHOTOGRAPH_SIDE} x {PHOTOGRAPH_SIDE} pixels, all behind the encoders takes {map_price:.1f} times as long with a label map")
    rows = quality(pipelines(engine, zero), scenes, count)
    table(
        f"{folder.version}, {'trained' if is_trained else 'zero-training'}, {count} scenes, {len(CLASSES)} labels",
        ("", "mIoU", "pixel accuracy", "ms per image", "time / ours", "prompts", "SAM encodings"),
        (
            (name, f"{row['miou']:.1f}", f"{row['pixel_accuracy']:.1f}", f"{1e3 * row['seconds']:.0f}",
             f"{row['seconds'] / rows[OURS]['seconds']:.2f}x", f"{row['prompts']:.1f}", f"{row['encodings']:.1f}")
            for name, row in rows.items()
        ),
    )  # fmt: skip
    best_grid = max((GRID, OWN_GRID), key=lambda name: rows[name]["miou"])

    def speedup(name: str) -> float:
        return round(rows[name]["seconds"] / rows[OURS]["seconds"], 2)

    return {
        "version": folder.version,
        "mode": "trained" if is_trained else "zero-training",
        "scenes": count,
        "prompt_share": round(rows[OURS]["prompts"] / GRID_SIDE**2, 4),
        "speedup_grid_tiny": speedup(best_grid),
        "speedup_grounded": speedup(GROUNDED),
        "speedup_grounded_shared": speedup(SHARED),
        "label_map_price": round(map_price, 2),
        "miou": round(rows[OURS]["miou"], 2),
        "miou_grid": round(rows[best_grid]["miou"], 2),
        "miou_grounded": round(rows[GROUNDED]["miou"], 2),
        "pipelines": rows,
        "stages_ms": shares,
        "labels": lists,
    }


def main() -> None:
    """Measure, print the tables, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--profile", default="tiny", help="profile or weights folder")
    parser.add_argument("--split", default="held-out-scenes", help=f"one of {', '.join(REPORTED_SPLITS)}")
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"))
    parser.add_argument("--labels", type=int, nargs="+", default=[1, 10, 100, 500], help="lengths of the label lists to time")
    parser.add_argument(
        "--vit-b-images", type=int, default=1, help="images of the comparison at real size, about a minute each; 0 for none"
    )
    asked = parser.parse_args()
    figures = compare(find_weights(asked.profile), prepare_split(asked.split, SCENES_OF_A_SPLIT, asked.data), asked.scenes, asked.labels)
    if asked.vit_b_images:
        speedup, shares = vit_b(pictures(asked.vit_b_images), CLASSES[:20])
        print_stages(f"stages of ours with {Preset().most_points} points, random ViT-B", shares)
        print(f"random ViT-B: the grid takes {speedup:.2f} times as long")
        figures |= {"speedup_grid_vit_b": round(speedup, 2), "vit_b_stages_ms": shares}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
