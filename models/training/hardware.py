"""What a stage computes on: one process, or several that share every step (Hugging Face Accelerate starts and joins them)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Hardware(Protocol):
    """A device, and this process's place among those that train together."""

    @property
    def device(self) -> torch.device:
        """Where to compute."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0. Process 0 writes files and reports."""

    @property
    def processes(self) -> int:
        """How many there are."""

    def wrap(self, step: nn.Module) -> nn.Module:
        """The module whose call is one step's loss, such that gradients are the mean over processes."""

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Mean of each figure over the processes, without those where it is NaN."""

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes, on the processor."""


@dataclass(frozen=True, slots=True)
class OneProcess:
    """This process alone."""

    device: torch.device
    rank: int = 0
    processes: int = 1

    def wrap(self, step: nn.Module) -> nn.Module:
        """As it is."""
        return step

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """As they are."""
        return dict(figures)

    def sum(self, values: Tensor) -> Tensor:
        """As they are."""
        return values.cpu()


ALONE = OneProcess(torch.device("cpu"))
"""The processor, and no other process."""


class SharedSteps:
    """All processes that ``torchrun`` or ``accelerate launch`` started; one when neither did.

    Args:
        device: its kind; each process takes its own of that kind.
    """

    def __init__(self, device: torch.device) -> None:
        from accelerate import Accelerator  # takes two seconds to import, which only fine-tuning needs to pay

        self._accelerator: Any = Accelerator(cpu=device.type == "cpu")
        self.processes = int(self._accelerator.num_processes)
        self.rank = int(self._accelerator.process_index)
        # Alone, the device that was asked for, cuda:1 for example; together, each its own. Of processors there is one, and a checkpoint
        # cannot be read to "cpu:0", as it is called there.
        as_asked = self.processes == 1 or device.type == "cpu"
        self.device: torch.device = device if as_asked else self._accelerator.device

    def wrap(self, step: nn.Module) -> nn.Module:
        """Under ``DistributedDataParallel``. A batch without any target leaves SAM's decoder without a gradient."""
        if self.processes == 1:
            return step
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(step, device_ids=ids, find_unused_parameters=True)

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """See :meth:`Hardware.mean`."""
        values = [(0.0, 0.0) if math.isnan(value) else (value, 1.0) for value in figures.values()]
        total = self.sum(torch.tensor(values, dtype=torch.float64)).tolist()
        return {name: value / count if count else math.nan for name, (value, count) in zip(figures, total, strict=True)}

    def sum(self, values: Tensor) -> Tensor:
        """See :meth:`Hardware.sum`."""
        if self.processes == 1:
            return values.cpu()
        summed: Tensor = self._accelerator.reduce(values.to(self.device), reduction="sum")
        return summed.cpu()
