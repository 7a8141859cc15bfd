"""A stage whose every batch is drawn by several processes, each its own part of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic

import numpy as np
from torch import Tensor, nn

from models.training.hardware import Hardware
from models.training.loop import Network, Stage, TrainedGroup


class SharedStage(Generic[Network]):
    """The same stage for one of the processes that share its steps; gradients are the mean over them (:meth:`Hardware.wrap`).

    On a machine without a GPU, processes of one thread each wait for each other once a step, threads of one process after every product.

    Args:
        stage: as one process would train it; from here on its batches are this process's part.
        hardware: how many processes there are, and which of them this is.

    Raises:
        ValueError: the batch cannot be shared evenly.
    """

    def __init__(self, stage: Stage[Network], hardware: Hardware) -> None:
        self.name, self.config = stage.name, stage.config
        size, processes = stage.config.batch_size, hardware.processes
        if size % processes:
            raise ValueError(f"stage {stage.name!r} learns from {size} images a step, which {processes} processes cannot share evenly")
        stage.config = replace(stage.config, batch_size=size // processes)
        self._stage, self._rank = stage, hardware.rank

    def parameter_groups(self, model: Network) -> Iterable[tuple[Iterable[nn.Parameter], float] | TrainedGroup]:
        return self._stage.parameter_groups(model)

    def set_mode(self, model: Network) -> None:
        self._stage.set_mode(model)

    def loss(self, model: Network, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """That of this process's part, whose draw depends on the step and on the process."""
        return self._stage.loss(model, np.random.default_rng([int(rng.integers(2**31)), self._rank]))


def shared(stage: Stage[Network], hardware: Hardware) -> Stage[Network]:
    """The stage as this process trains it: itself where there is no other."""
    return SharedStage(stage, hardware) if hardware.processes > 1 else stage
