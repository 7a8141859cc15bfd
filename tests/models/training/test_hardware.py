"""What processes that train together call their device."""

from __future__ import annotations

import accelerate
import pytest
import torch

from models.training.hardware import SharedSteps


class TwoProcesses:
    """What Accelerate says in the second of two processes on processors."""

    num_processes = 2
    process_index = 1
    device = torch.device("cpu:0")

    def __init__(self, cpu: bool) -> None:
        assert cpu


def test_a_checkpoint_can_be_read_by_processes_that_share_a_processor(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(accelerate, "Accelerator", TwoProcesses)
    hardware = SharedSteps(torch.device("cpu"))
    torch.save({"weight": torch.ones(2)}, tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", map_location=hardware.device, weights_only=True)
    assert state["weight"].device == torch.device("cpu")
    assert (hardware.rank, hardware.processes) == (1, 2)
