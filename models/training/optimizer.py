"""The optimiser of a stage: AdamW, or Muon on the matrices of layers with AdamW on the rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["adamw", "muon"]
MOST_VECTORS = 4
"""A matrix of so few rows is rather so many vectors."""


class MuonAndAdamW:
    """Muon on some parameters, AdamW on the others, stepping together.

    Muon (Jordan et al., 2024; its rate scaled to AdamW's as in arXiv 2502.16982) makes of a matrix's gradient one that moves what the layer
    says in all directions alike: matrices that start at random learn sooner.

    Args:
        muon: groups of matrices, as torch's optimisers take them.
        adamw: groups of anything.
    """

    def __init__(self, muon: Sequence[dict[str, Any]], adamw: Sequence[dict[str, Any]]) -> None:
        self._parts: tuple[torch.optim.Optimizer, ...] = (torch.optim.Muon(muon, adjust_lr_fn="match_rms_adamw"), make_adamw(adamw))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of both; what is written into them counts."""
        return [group for part in self._parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        muon, adamw = self._parts
        return {"muon": muon.state_dict(), "adamw": adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse of :meth:`state_dict`."""
        muon, adamw = self._parts
        muon.load_state_dict(state["muon"])
        adamw.load_state_dict(state["adamw"])


Optimizer = torch.optim.Optimizer | MuonAndAdamW


def make_optimizer(name: OptimizerName, groups: Sequence[dict[str, Any]], matrices: Collection[nn.Parameter]) -> Optimizer:
    """AdamW on all groups, or Muon on those of their parameters that are ``matrices``, and AdamW on the others.

    Args:
        name: which.
        groups: as torch's optimisers take them.
        matrices: see :func:`layer_matrices`.
    """
    if name == "adamw":
        return make_adamw(groups)
    of_muon = {id(parameter) for parameter in matrices}
    first = [{**group, "params": [p for p in group["params"] if id(p) in of_muon]} for group in groups]
    second = [{**group, "params": [p for p in group["params"] if id(p) not in of_muon]} for group in groups]
    return MuonAndAdamW([group for group in first if group["params"]], [group for group in second if group["params"]])


def make_adamw(groups: Sequence[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW as all recipes use it."""
    return torch.optim.AdamW([*groups], betas=(0.9, 0.98), fused=True)


def layer_matrices(model: nn.Module) -> list[nn.Parameter]:
    """What layers multiply by what they are given. Tables of words and of positions are none of it, nor are a few vectors."""
    return [
        parameter
        for module in model.modules()
        if not isinstance(module, nn.Embedding)
        for name, parameter in module.named_parameters(recurse=False)
        if name.endswith("weight") and parameter.ndim == 2 and min(parameter.shape) > MOST_VECTORS
    ]
