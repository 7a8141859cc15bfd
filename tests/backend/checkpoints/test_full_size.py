"""Networks of the published sizes, from a publisher's server to a running service, by the commands that a user types.

The numbers are random. Every step runs in a process of its own, as for a user, and its peak of memory is held below a bound: reading a
published file costs a window of it, not all of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch

from backend.brush_rle import decode
from models.embedding_cache import EmbeddingCache
from models.engine_options import EngineOptions, Precision
from models.ssp_sam.checkpoint import Layout
from models.ssp_sam.config import named_config
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import tokenizer_for
from models.uninitialised import Uninitialised
from models.weights_folder import open_weights_folder
from models.weights_tensors import load_weights
from tests.factories import make_data_uri, make_task
from tests.local_http import Reply, local_server
from tests.models.ssp_sam.files import write_official
from tests.models.ssp_sam.networks import random_network

COMMAND = Path(sys.executable).with_name("wordmask")
GIB = 2**30
PROCESS_BYTES = 1.5 * GIB
"""What PyTorch, the code and one window of a file may take together."""
IMAGE = np.kron(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((10, 10, 1), dtype=np.uint8))
PHRASE = "the red car"
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
_LARGE = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL = pytest.param(("contract", "saved"), id="small")
FRESH_224 = pytest.param(("ssp-sam-224", "fresh"), id="224-fresh", marks=_LARGE)
SAVED_336 = pytest.param(("ssp-sam-336", "saved"), id="336-saved", marks=_LARGE)
REGISTRY = """
[checkpoints.large]
title = "random numbers"
url = "{url}/checkpoint_best_miou.pth"
licence = "none"
format = "ssp-sam"
sizes = "{sizes}"

[profiles.large]
title = "random numbers"
architecture = "ssp-sam"
config = "{sizes}"
checkpoint = "large"
thresholds = {{ presence = 0.0 }}
"""


@dataclass
class Published:
    """A file at a publisher's, and the machine of a user."""

    sizes: str
    file: Path
    layout: Layout
    folder: Path
    url: str

    @property
    def precision(self) -> Precision:
        """The default, fp32, for small networks; where the processor has instructions for it, the large ones answer sooner in bf16."""
        return "bf16" if self.sizes != "contract" and torch.cpu.get_capabilities().get("amx_bf16") else "fp32"

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "WORDMASK_DATA_DIR": str(self.folder / "data"),
            "WORDMASK_CHECKPOINT_REGISTRY": str(self.folder / "registry.toml"),
            "WORDMASK_DEVICE": "cpu",
            "WORDMASK_PORT": "0",
            "WORDMASK_PREDICT_BUDGET_SECONDS": "99",
            "WORDMASK_PRECISION": self.precision,
        }
        return {**os.environ, **own}

    def run(self, *arguments: str) -> tuple[str, int]:
        """What a command prints, and the most memory it held, in bytes."""
        peak = 0
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [COMMAND, *arguments], env=self.environment, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            )  # fmt: skip
            while process.poll() is None:
                # Not ru_maxrss, which counts this process's own memory for a child.
                peak = max(peak, peak_of(process.pid))
                time.sleep(0.05)
            output.seek(0)
            text = output.read()
        assert process.returncode == 0, text
        return text, peak


def answer_of(model: SspSam, precision: Precision) -> np.ndarray:
    """Every pixel that the network gives to the phrase."""
    engine = SspSamEngine(
        model, tokenizer_for(model.config), name="", version="", device=torch.device("cpu"), thresholds=Thresholds(presence=0.0),
        cache=EmbeddingCache(0), options=EngineOptions(precision=precision),
    )  # fmt: skip
    return union([segment.mask for segment in engine.segment(IMAGE, [PHRASE])[0]])


def union(masks: list[np.ndarray]) -> np.ndarray:
    return np.any([np.zeros(IMAGE.shape[:2], dtype=bool), *masks], axis=0)


@pytest.fixture(scope="module", params=[SMALL, FRESH_224, SAVED_336])
def published(request: pytest.FixtureRequest) -> Iterator[Published]:
    sizes, layout = request.param
    folder = Path(tempfile.mkdtemp(prefix="wordmask-full-size-"))  # pytest keeps its own folders for three runs: gigabytes
    try:
        file = write_official(folder / "published" / "checkpoint_best_miou.pth", random_network(named_config(sizes)), layout)
        with local_server() as server:
            server.routes["/checkpoint_best_miou.pth"] = lambda _: streamed(file)
            (folder / "registry.toml").write_text(REGISTRY.format(url=server.url, sizes=sizes))
            yield Published(sizes, file, layout, folder, server.url)
    finally:
        shutil.rmtree(folder)


def streamed(file: Path) -> Reply:
    def write(send: Callable[[bytes], None]) -> None:
        with file.open("rb") as source:
            while block := source.read(2**20):
                send(block)

    return Reply(200, b"", {"Content-Length": str(file.stat().st_size), "ETag": '"1"'}, write)


@pytest.fixture(scope="module")
def converted(published: Published) -> Path:
    """The weights folder, made by the user's commands."""
    output, peak = published.run("checkpoints", "fetch", "large")
    assert "large: " in output
    assert peak < PROCESS_BYTES
    lock = json.loads((published.folder / "data" / "checkpoints" / "checkpoints.lock.json").read_text())
    with published.file.open("rb") as file:
        assert lock["large"]["sha256"] == hashlib.file_digest(file, "sha256").hexdigest()
    published.file.unlink()
    output, peak = published.run("checkpoints", "convert", "large")
    assert "serve it with: wordmask serve --profile large" in output
    assert peak < PROCESS_BYTES
    return published.folder / "data" / "checkpoints" / "profiles" / "large"


def test_the_file_is_verified_in_little_memory(published: Published, converted: Path) -> None:
    output, peak = published.run("checkpoints", "verify", "large")
    assert f"{published.layout} layout" in output
    assert "also holds optimizer, lr_scheduler, epoch, args, which is left out" in output
    assert peak < PROCESS_BYTES


def test_every_number_is_the_one_that_was_published(published: Published, converted: Path) -> None:
    wanted = random_network(named_config(published.sizes)).state_dict()
    with Uninitialised():
        found = SspSam(named_config(published.sizes)).state_dict()
    load_weights(open_weights_folder(converted), found)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("published", [SMALL, SAVED_336], indirect=True)  # the two large ones differ in numbers of layers alone
def test_the_service_answers_bit_for_bit_as_the_network_that_was_published(published: Published, converted: Path) -> None:
    expected = answer_of(random_network(named_config(published.sizes)), published.precision)
    assert 0.02 < expected.mean() < 0.98
    with subprocess.Popen(
        [COMMAND, "serve", "--profile", "large"], env=published.environment, cwd=published.folder, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            found = ask(address_of(process), published.precision)
            held = max(peak_of(pid) for pid in group_of(process.pid))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
    assert np.array_equal(found, expected)
    weights = (converted / "model.safetensors").stat().st_size
    assert held < weights + 2 * PROCESS_BYTES, "SAM's image encoder is in memory once"


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(r"http://[\d.]+:\d+", line):
            return match[0]
    raise AssertionError("the service ended without telling its address")


def ask(url: str, precision: Precision) -> np.ndarray:
    """The pixels of all regions for the phrase."""
    for _ in range(4000):
        health: dict[str, Any] = requests.get(f"{url}/health", timeout=5).json()
        assert "error" not in health
        if health["ready"]:
            break
        time.sleep(0.1)
    assert (health["profile"], health["device"], health["precision"]) == ("large", "cpu", DTYPES[precision])
    labels = f'<BrushLabels name="mask" toName="image" model="ssp-sam"><Label value="{PHRASE}"/></BrushLabels>'
    body = {
        "tasks": [make_task(data={"image": make_data_uri(IMAGE)})],
        "label_config": f'<View><Image name="image" value="$image"/>{labels}</View>',
        "project": "1",
    }
    answer = requests.post(f"{url}/predict", json=body, timeout=400).json()
    regions = answer["results"][0]["result"]
    return union([decode(region["value"]["rle"], IMAGE.shape[:2]) > 0 for region in regions])


def group_of(leader: int) -> list[int]:
    """The processes of a group."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _group(int(entry.name)) == leader]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def peak_of(pid: int) -> int:
    """Most memory that a process has held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else 0
