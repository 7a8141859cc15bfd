"""Low-rank adapters (Hu et al., LoRA, arXiv 2106.09685) on any weights, merged before anything is written.

PEFT's adapters replace whole modules by others of its own; here attention reads the weights of ``nn.MultiheadAttention`` and of SAM's
blocks directly (:mod:`models.attention`), and CLIP's surgery uses the rows for the values twice. A parametrization of the *weight* serves
every reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

PROJECTIONS = (
    *("in_proj_weight", "out_proj.weight", "c_fc.weight", "c_proj.weight"),  # CLIP's
    *("qkv.weight", "proj.weight", "lin1.weight", "lin2.weight"),  # SAM's
)
"""Ends of the names of those weights in a block that get adapters."""


class LowRank(nn.Module):
    """A weight plus a product of two thin matrices, which begins as nothing.

    Args:
        weight: float ``[out, in]``.
        rank: of what is added.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rank = min(rank, *weight.shape)
        self.down = nn.Parameter(torch.empty(rank, weight.shape[1], dtype=weight.dtype, device=weight.device))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, dtype=weight.dtype, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """float ``[out, in]`` -> the same."""
        return weight + self.up @ self.down


def add_adapters(blocks: Iterable[nn.Module], rank: int) -> list[nn.Parameter]:
    """Give the projections of some transformer blocks adapters; returns what of them is to be trained."""
    trained: list[nn.Parameter] = []
    for block in blocks:
        for owner, name in list(_projections(block)):
            adapter = LowRank(getattr(owner, name), rank)
            parametrize.register_parametrization(owner, name, adapter)
            trained += adapter.parameters()
    return trained


def merge_adapters(model: nn.Module) -> None:
    """Make every adapter part of its weight and remove it; names of weights are as before :func:`add_adapters`."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]  # a ModuleDict, which modules' types do not tell
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _projections(block: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for module_name, module in block.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            if f".{module_name}.{name}".endswith(tuple(f".{end}" for end in PROJECTIONS)):
                yield module, name
