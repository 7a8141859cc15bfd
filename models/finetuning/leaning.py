"""What was learned leans towards the base: a weighted mean of both networks' weights forgets less than it learns less.

After weight-space ensembles (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def lean_towards(base: nn.Module, learned: nn.Module, base_share: float) -> None:
    """Mix the base's parameters into those of the learned network, in place.

    Args:
        base: has the same parameters.
        learned: without adapters.
        base_share: 0..1; 0 leaves it as it is.
    """
    originals = dict(base.named_parameters())
    for name, parameter in learned.named_parameters():
        parameter.lerp_(originals[name].to(parameter.device), base_share)
