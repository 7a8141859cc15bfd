"""The engine, stage by stage: times, share of the machine's peak, memory, batch sizes, the official example, 64 clients.

Run: ``.venv/bin/python benchmarks/engine.py`` (some minutes on two cores); with ``--device cuda --config ssp-sam-336 --precision bf16`` on
another device and network, with ``--profile PATH`` on weights of your own. A configuration (``--config``) has random weights: its speed is
that of trained ones, its masks mean nothing. The clients ask the shipped ``tiny`` model, or what ``--clients-profile`` names.

The last line is one JSON object. ``peak_share`` is the speed of SAM's image encoder (operations counted, not estimated) over that of the
fastest plain matrix product measured in this run, in the same type. ``speedup_vs_example`` is the time of the official example's loop,
which runs both image encoders for every prompt and takes one image at a time, over the engine's, at 4 prompts per image. The loop runs the
same networks, so only the order of work differs; in ``speedup_vs_stock_example`` it has the stock encoder of ``segment_anything`` instead.
``throughput_ratio`` and ``p95_ratio`` compare 64 clients at once with shared batches to the same clients without; ``concurrent_wrong``
counts their answers that differ from those of a quiet engine, see ``engine_clients.py``.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what is not installed: tools, and the files beside this one

from benchmarks.engine_clients import CLIENTS, ask_concurrently
from models import EngineOptions, load_engine
from models.devices import Compute, choose_device, choose_dtype
from models.preprocess import masks_to_image, sam_letterbox
from models.ssp_sam.config import CONFIGURATIONS, named_config
from models.ssp_sam.engine import SspSamEngine
from models.ssp_sam.sam_encoder import ImageEncoder
from models.ssp_sam.sam_masks import encode_image
from models.ssp_sam.weights import random_engine
from models.types import RgbImage

SIZE_HW = (480, 640)
PROMPTS = ["the red car on the left", "a small dog", "all cats", "the house behind the tree"]
PEAK_SIDES = (1024, 2048, 4096)
ENOUGH_SECONDS = 3.0


class Bench:
    """One engine and the device that it runs on."""

    def __init__(self, engine: SspSamEngine, compute: Compute) -> None:
        self.engine, self.compute = engine, compute
        self.model, self.images = engine._model, engine._images

    def seconds(self, work: Callable[[], Any], *, most: int = 7) -> float:
        """Median seconds of some repeats, the first of which does not count; one alone that takes long is enough."""
        times: list[float] = []
        with torch.inference_mode(), self.compute.autocast():
            while len(times) < most and (len(times) < 2 or sum(times) < ENOUGH_SECONDS):
                self.wait()
                start = time.perf_counter()
                work()
                self.wait()
                times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def prepared(self, image: RgbImage) -> tuple[Tensor, Tensor]:
        """An image for CLIP and for SAM, as batches of one on the device."""
        both = (self.images.clip, self.images.sam)
        clip, sam = (self.compute.upload(encoding.prepare(image)[None]) for encoding in both)
        return clip, sam

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.compute.device.type != "cpu":
            getattr(torch, self.compute.device.type).synchronize()


def pictures(count: int, seed: int = 0) -> list[RgbImage]:
    """Different images of blocks of colour, uint8 ``[H, W, 3]``."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, SIZE_HW[0] // 40, SIZE_HW[1] // 40, 3), dtype=np.uint8)
    return list(blocks.repeat(40, axis=1).repeat(40, axis=2))


def matmul_peak(bench: Bench) -> float:
    """Operations per second of the fastest square matrix product in the engine's type."""
    fastest = 0.0
    for side in PEAK_SIDES:
        a = torch.randn(side, side, device=bench.compute.device, dtype=bench.compute.dtype)
        fastest = max(fastest, 2 * side**3 / bench.seconds(partial(torch.matmul, a, a)))
    return fastest


def stages(bench: Bench, image: RgbImage) -> dict[str, float]:
    """Milliseconds of each stage for one image and one phrase (decoding also for four)."""
    engine, model, compute = bench.engine, bench.model, bench.compute
    clip, sam = bench.prepared(image)
    letterbox = sam_letterbox(SIZE_HW, model.config.sam.image_size)
    with torch.inference_mode(), compute.autocast():
        features = model.encode_images(clip, sam)
        ids = compute.upload(engine._tokenizer(PROMPTS))
        one, all_ = (model.encode_phrases(ids[:count]) for count in (1, len(PROMPTS)))
        logits = model.decode(features, one).low_res_logits
    work: dict[str, Callable[[], Any]] = {
        "resize and normalise": lambda: bench.prepared(image),
        "CLIP's image encoder": lambda: model.clip.encode_patches(clip),
        "SAM's image encoder": lambda: encode_image(model.sam, sam),
        "text encoder, 1 phrase": lambda: model.encode_phrases(ids[:1]),
        "prompts and mask, 1 phrase": lambda: model.decode(features, one),
        "prompts and masks, 4 phrases": lambda: model.decode(features.repeat(len(PROMPTS)), all_),
        "mask to the image's size": lambda: (masks_to_image(logits, letterbox) >= 0).cpu(),
    }
    return {name: 1e3 * bench.seconds(step) for name, step in work.items()}


def encoder_operations(bench: Bench) -> int:
    """Floating-point operations of SAM's image encoder for one image, counted on the way."""
    side = bench.model.config.sam.image_size
    image = torch.zeros(1, 3, side, side, device=bench.compute.device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), bench.compute.autocast():
        encode_image(bench.model.sam, image)
    return int(counter.get_total_flops())


def by_batch(bench: Bench, sizes: Sequence[int]) -> dict[int, float]:
    """Images per second of both image encoders, preparation included, by size of the batch."""
    images = pictures(max(sizes))

    def encode(some: Sequence[RgbImage]) -> None:
        for encoding in (bench.images.clip, bench.images.sam):
            encoding.encode([encoding.prepare(image) for image in some])

    return {size: size / bench.seconds(partial(encode, images[:size])) for size in sizes}


def stock_encoder(encoder: ImageEncoder) -> ImageEncoderViT:
    """``segment_anything``'s own encoder on the very same weights."""
    block = encoder.blocks[0]
    windows = {number: one.window_size for number, one in enumerate(encoder.blocks)}
    with torch.device("meta"):
        stock = ImageEncoderViT(
            img_size=encoder.img_size,
            patch_size=encoder.patch_embed.proj.kernel_size[0],
            embed_dim=encoder.pos_embed.shape[-1],
            depth=len(encoder.blocks),
            num_heads=block.attn.num_heads,
            out_chans=encoder.neck[0].out_channels,
            norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
            use_rel_pos=block.attn.use_rel_pos,
            window_size=max(windows.values()),
            global_attn_indexes=tuple(number for number, window in windows.items() if window == 0),
        )
    stock.load_state_dict(encoder.state_dict(), strict=True, assign=True)
    return stock.eval()


def example_loop(bench: Bench, images: Sequence[RgbImage], stock: ImageEncoderViT | None = None) -> float:
    """Seconds of the official example's order of work: both encoders anew for every prompt, one image at a time."""
    model, compute = bench.model, bench.compute
    letterbox = sam_letterbox(SIZE_HW, model.config.sam.image_size)
    start = time.perf_counter()
    with torch.inference_mode(), compute.autocast():
        for image in images:
            for prompt in PROMPTS:
                clip, sam = bench.prepared(image)
                ids = compute.upload(bench.engine._tokenizer([prompt]))
                prediction = model(clip, ids, sam if stock is None else stock(sam))
                (masks_to_image(prediction.low_res_logits, letterbox) >= 0).cpu()
    return time.perf_counter() - start


def engine_loop(bench: Bench, images: Sequence[RgbImage]) -> float:
    """Seconds of the engine for the same masks, not split into objects: random masks fall into too many."""
    letterbox = sam_letterbox(SIZE_HW, bench.model.config.sam.image_size)
    start = time.perf_counter()
    with torch.inference_mode():
        for image in images:
            features = bench.images.features(image)
            for decoded in bench.engine._decode_phrases(features, PROMPTS):
                (masks_to_image(decoded.low_res_logits[None], letterbox) >= 0).cpu()
    return time.perf_counter() - start


def memory_mib(device: torch.device) -> float:
    """The most memory there was so far: of the device, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def table(title: str, headings: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    """Print for people."""
    shown = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        shown.add_column(heading, justify="right" if place else "left")
    for row in rows:
        shown.add_row(*row)
    Console(width=110).print(shown)


def measure(bench: Bench, batches: Sequence[int], skip_stock: bool) -> dict[str, Any]:
    """Everything but the clients; prints its tables."""
    peak = matmul_peak(bench)
    times = stages(bench, pictures(1)[0])
    operations = encoder_operations(bench)
    encoder_seconds = times["SAM's image encoder"] / 1e3
    share = operations / encoder_seconds / peak
    figures: dict[str, Any] = {
        "peak_share": round(share, 3),
        "matmul_peak_gflops": round(peak / 1e9, 1),
        "encoder_gflop": round(operations / 1e9, 1),
        "stages_ms": {name: round(value, 2) for name, value in times.items()},
        "memory_mib": {"1 image": round(memory_mib(bench.compute.device))},
    }
    table("stages", ("stage", "ms"), ((name, f"{value:.1f}") for name, value in times.items()))
    print(f"SAM's image encoder: {operations / 1e9:.0f} GFLOP, {share:.0%} of the matrix product's {peak / 1e9:.0f} GFLOP/s\n")

    figures["images_per_s"] = {}
    for size in batches:
        figures["images_per_s"][size] = round(by_batch(bench, [size])[size], 3)
        figures["memory_mib"][f"batches of {size}"] = round(memory_mib(bench.compute.device))
    rows = ((str(size), f"{rate:.2f}", f"{figures['memory_mib'][f'batches of {size}']}") for size, rate in figures["images_per_s"].items())
    table("both image encoders", ("batch", "images per s", "most memory so far, MiB"), rows)

    images = pictures(1 if encoder_seconds > 0.5 else 12, seed=2)
    ours, example = engine_loop(bench, images), example_loop(bench, images)
    figures |= {"speedup_vs_example": round(example / ours, 2), "engine_s_per_image": round(ours / len(images), 3)}
    compared = [("engine", ours), ("example's loop, same networks", example)]
    encoder = bench.model.sam.image_encoder
    if bench.model.config.sam.conv_stem is None and not skip_stock:
        compared.append(("example's loop, stock encoder", example_loop(bench, images, stock_encoder(encoder))))
        figures["speedup_vs_stock_example"] = round(compared[-1][1] / ours, 2)
    rows = ((name, f"{seconds / len(images):.2f}", f"{seconds / ours:.2f}x") for name, seconds in compared)
    table("4 prompts per image", ("", "s per image", "time / engine's"), rows)
    return figures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--config", default="ssp-sam-224-vit-b", choices=[make().name for make in CONFIGURATIONS], help="random weights")
    what.add_argument("--profile", help="a profile's name or a weights folder")
    parser.add_argument("--device", default="cpu", help="as WORDMASK_DEVICE")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16", "fp16"], help="as WORDMASK_PRECISION")
    parser.add_argument("--compile", action="store_true", help="as WORDMASK_COMPILE")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4], help="sizes of batches to try")
    parser.add_argument("--skip-stock", action="store_true", help="leave out the loop with the stock encoder, the slowest part")
    parser.add_argument("--clients-profile", default="tiny", help="what the 64 clients ask")
    parser.add_argument("--requests", type=int, default=3, help="of each client; 0 leaves the clients out")
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, then the figures as JSON."""
    asked = arguments()
    device = choose_device(asked.device)
    compute = Compute(device, choose_dtype(asked.precision, device))
    options = EngineOptions(precision=asked.precision, compiled=asked.compile, micro_batch=1)
    if asked.profile:
        engine = load_engine(asked.profile, device=str(device), options=options)
    else:
        engine = random_engine(named_config(asked.config), device=str(device), options=options)
    assert isinstance(engine, SspSamEngine)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} threads"
    print(f"{engine.name} on {device.type} ({where}), {compute.dtype}{', compiled' if asked.compile else ''}\n")
    figures = {"network": engine.name, "device": device.type, "where": where, "dtype": str(compute.dtype), "compiled": asked.compile}
    figures |= measure(Bench(engine, compute), asked.batches, asked.skip_stock)

    if asked.requests:

        def make(micro_batch: int) -> SspSamEngine:
            shared = EngineOptions(precision=asked.precision, micro_batch=micro_batch)
            made = load_engine(asked.clients_profile, device=str(device), options=shared)
            made.segment(pictures(1, seed=9)[0], PROMPTS)
            return made  # type: ignore[return-value]

        images = pictures(48, seed=1)
        requests = [(images[number % 48], PROMPTS[number // 7 % 4]) for number in range(CLIENTS * asked.requests)]
        found = ask_concurrently(make, requests, is_exact=device.type == "cpu" and not compute.is_reduced)
        off, on = found["off"], found["on"]
        rows = (
            (name, f"{row['per_s']:.1f}", f"{row['p50_ms']:.0f}", f"{row['p95_ms']:.0f}", str(row["wrong"]))
            for name, row in (("without shared batches", off), ("with", on))
        )
        title = f"{CLIENTS} clients of {asked.clients_profile}; one after the other: {found['sequential_per_s']:.1f} per s"
        table(title, ("", "requests per s", "p50, ms", "p95, ms", "wrong"), rows)
        figures |= {
            "concurrent_wrong": on["wrong"],
            "concurrent_not_identical": on["not_identical"],
            "p95_ratio": round(on["p95_ms"] / off["p95_ms"], 3),
            "throughput_ratio": round(on["per_s"] / off["per_s"], 3),
            "clients": found,
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
