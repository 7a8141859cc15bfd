"""Fine-tuning with kept embeddings against the same steps that compute them anew: time of an epoch, and memory.

Run: ``.venv/bin/python benchmarks/finetune.py`` (three minutes on two cores; ``--images`` and ``--epochs`` for more). An epoch sees every
image once, with one expression, as in the published training; head and mask decoder learn, the encoders are frozen. Both ways run the same
code in float32, only that one has no room to keep anything. Weights are random: their speed is that of trained ones.

The last line is one JSON object. ``cached_speedup_vit_b`` (SSP-SAM-224 on SAM ViT-B) and ``cached_speedup_tiny`` are the time of an epoch
that recomputes over that of one that does not; ``cached_speedup_tiny_defaults`` the same as `wordmask` fine-tunes: adapters in CLIP's last
blocks, four expressions an image, naming. Peak memory is that of a process of its own. What comes before the first epoch, embedding every
image once, is told apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

SIZE_HW = (480, 640)
CASES = {
    "vit_b": ("ssp-sam-224-vit-b", False, 4),
    "tiny": ("tiny", False, 16),
    "tiny_defaults": ("tiny", True, 16),
}
"""Name -> configuration, whether everything that is on by default learns, images."""
WORDS = ("red car", "small dog", "house", "tree", "blue boat")


def write_images(folder: Path, count: int) -> Iterator[tuple[Path, tuple[int, int, int, int]]]:
    """Photographs of noise with one bright rectangle each, and where it is."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        image = rng.integers(0, 120, (*SIZE_HW, 3), dtype=np.uint8)
        x0, y0 = int(rng.integers(0, 400)), int(rng.integers(0, 300))
        image[y0 : y0 + 120, x0 : x0 + 160] = 220
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path, compress_level=1)
        yield path, (x0, y0, x0 + 160, y0 + 120)


def measure(case: str, is_cached: bool, images: int, epochs: int) -> dict[str, float]:
    """Seconds of embedding and of an epoch (median), and the peak memory of this process, MiB."""
    import torch

    from models import FineTuneConfig, Sample, image_digest, mask_to_coco_rle
    from models.data.sample import Expression, Target
    from models.devices import Compute
    from models.embedding_cache import EmbeddingCache
    from models.finetuning.encoders import SplitEncoders
    from models.finetuning.examples import Example
    from models.finetuning.lessons import Meanings, Sampler
    from models.finetuning.stage import FineTuneStage
    from models.ssp_sam.config import named_config
    from models.ssp_sam.model import SspSam
    from models.ssp_sam.weights import tokenizer_for
    from models.training.hardware import OneProcess
    from models.training.loop import StageRun

    name, is_default, _ = CASES[case]
    config = replace(FineTuneConfig(), replay_size=0, batch_size=4, steps=10_000)
    if not is_default:
        config = replace(config, expressions_per_image=1, low_rank=0, naming=0.0, text_rate=0.0, decoder_from=0.0)
    torch.manual_seed(0)
    model, hardware = SspSam(named_config(name)).eval(), OneProcess(torch.device("cpu"))
    tokenizer, meanings = tokenizer_for(model.config), Meanings(model.config, 2**27)
    encoders = SplitEncoders(
        model, config.low_rank_blocks if config.low_rank else 0, Compute(hardware.device), EmbeddingCache(2**31 if is_cached else 0)
    )
    with tempfile.TemporaryDirectory() as folder:
        examples = []
        for number, (path, (x0, y0, x1, y1)) in enumerate(write_images(Path(folder), images)):
            mask = np.zeros(SIZE_HW, np.bool_)
            mask[y0:y1, x0:x1] = True
            target = Target(0, mask_to_coco_rle(mask), label=WORDS[number % len(WORDS)])
            said = [Expression(f"{article} {target.label}", (0,)) for article in ("a", "the", "one", "every")]
            sample = Sample(str(path), SIZE_HW, "train", (target,), tuple(said))
            examples.append(Example(sample, path, image_digest(np.full((1, 1, 3), number, np.uint8))))
        sampler = Sampler(examples, [], config.batch_size, 0, config.expressions_per_image, meanings, tokenizer)
        stage = FineTuneStage(config, model, sampler, encoders, hardware, bfloat16=False)
        run = StageRun(stage, model, Path(folder) / "none.pt", 0, hardware, None)
        stage.set_mode(model)
        start = time.perf_counter()
        if is_cached:
            for example in examples:
                encoders.trunk(example.key, example.image)
        embedding = time.perf_counter() - start
        run.step()  # the first one allocates
        times = []
        for _ in range(epochs):
            start = time.perf_counter()
            for _ in range(images // config.batch_size):
                run.step()
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"embedding": embedding, "epoch": statistics.median(times), "peak_mib": round(peak)}


def in_a_process(case: str, is_cached: bool, images: int, epochs: int) -> dict[str, float]:
    """As :func:`measure`, so that its memory is its own."""
    words = [
        sys.executable,
        __file__,
        "--one",
        case,
        "--images",
        str(images),
        "--epochs",
        str(epochs),
        *(["--cached"] if is_cached else []),
    ]
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, print the table, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=0, help="of each case, a multiple of 4; by default 4 at ViT-B and 16 at tiny")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--cached", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.cached, arguments.images, arguments.epochs)))
        return
    table = Table("case", "images", "embedding once, s", "epoch kept, s", "epoch anew, s", "speed-up", "peak kept, MiB", "peak anew, MiB")
    figures: dict[str, float] = {}
    for case, (_, _, default) in CASES.items():
        images = arguments.images or default
        kept, anew = (in_a_process(case, is_cached, images, arguments.epochs) for is_cached in (True, False))
        figures[f"cached_speedup_{case}"] = round(anew["epoch"] / kept["epoch"], 2)
        figures[f"peak_mib_{case}"] = kept["peak_mib"]
        seconds = (f"{value:.2f}" for value in (kept["embedding"], kept["epoch"], anew["epoch"]))
        table.add_row(case, str(images), *seconds, f"{figures[f'cached_speedup_{case}']:.1f}", str(kept["peak_mib"]), str(anew["peak_mib"]))
    Console().print(table)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
