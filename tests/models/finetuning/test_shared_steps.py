"""Two processes that share every step learn what one process learns."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models import fine_tune
from models.ssp_sam.config import tiny
from models.ssp_sam.model import SspSam
from models.version_folder import read_version
from tests.models.finetuning.world import QUICK, request_for, write_base

ROOT = Path(__file__).parents[3]
CONFIG = replace(QUICK, steps=4, batch_size=3, replay_size=1, validate_every=2, text_rate=0.3, decoder_from=0.5)
MOVED_BY_ROUNDING = ("k_proj.bias", "word_score.bias")
"""These biases move all scores of a softmax alike: their gradients are nothing but rounding, and so is whether they change."""
SCRIPT = """
import pickle, sys
from models import fine_tune
fine_tune(pickle.loads(bytes.fromhex(sys.argv[1])))
"""


def losses(run_dir: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run_dir / "steps" / "finetune.jsonl").read_text().splitlines()]


def changed_tensors(version: Path) -> set[str]:
    return {name for name in load_file(version / "delta.safetensors") if not name.endswith(MOVED_BY_ROUNDING)}


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_base(tmp_path / "base", SspSam(tiny()))  # which has no dropout
    alone = request_for(tmp_path, CONFIG)
    shared = replace(alone, run_dir=tmp_path / "shared run", out=tmp_path / "shared")
    fine_tune(alone)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, pickle.dumps(shared).hex()]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **places, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)
    ]
    assert [process.wait(timeout=250) for process in processes] == [0, 0]

    assert losses(shared.run_dir) == pytest.approx(losses(alone.run_dir), rel=2e-3)
    one, two = read_version(alone.out), read_version(shared.out)
    assert [point.train_loss for point in two.curve] == pytest.approx([point.train_loss for point in one.curve], rel=2e-3)
    assert changed_tensors(shared.out) == changed_tensors(alone.out)
