"""Small networks with random weights, and inputs for them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from models.ssp_sam.config import SspSamConfig, contract
from models.ssp_sam.model import SspSam
from models.uninitialised import Uninitialised


def perturbed(config: SspSamConfig | None = None, seed: int = 0) -> SspSam:
    """A network in which no bias is zero, no norm is neutral and no two tensors are equal, so that equality of outputs means something.

    The weights are large enough for every part to show in the masks; the Gaussian keeps a width that lets patches through.
    """
    torch.manual_seed(seed)
    model = SspSam(config or contract()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.25 * torch.randn_like(parameter)
        model.visual_adapter.gaussian_sigma.fill_(0.6)
    return model


def random_network(config: SspSamConfig) -> SspSam:
    """Weights of the usual size for their layer, drawn once and repeated: the 800 million of a published size take long to draw."""
    with Uninitialised():
        model = SspSam(config).eval()
    drawn = torch.empty(1_000_003).uniform_(-1.0, 1.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            size = (3 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1  # matrices keep the variance of what they are given
            for part in tensor.view(-1).split(len(drawn)):
                torch.mul(drawn[: len(part)], size, out=part)
            if tensor.ndim == 1 and name.endswith(".weight"):
                tensor.add_(1.0)  # norms
        model.visual_adapter.gaussian_sigma.fill_(0.6)
    return model


def without_surgery(config: SspSamConfig) -> SspSamConfig:
    return replace(config, clip=replace(config.clip, surgery_blocks=0))


def phrase_ids(config: SspSamConfig, *lengths: int, seed: int = 0) -> Tensor:
    """Random words between start and end token, zero padded, int64 ``[len(lengths), T]``."""
    generator = torch.Generator().manual_seed(seed)
    clip = config.clip
    ids = torch.zeros(len(lengths), clip.context_length, dtype=torch.int64)
    for row, length in enumerate(lengths):
        ids[row, 0], ids[row, length + 1] = clip.vocab_size - 2, clip.vocab_size - 1
        ids[row, 1 : length + 1] = torch.randint(1, clip.vocab_size - 2, (length,), generator=generator)
    return ids


def inputs(config: SspSamConfig, *lengths: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """CLIP's image, token ids and SAM's embedding for phrases of so many words, one image each."""
    generator = torch.Generator().manual_seed(seed)
    batch, side, grid = len(lengths), config.clip.image_size, config.sam.grid
    return (
        torch.randn(batch, 3, side, side, generator=generator),
        phrase_ids(config, *lengths, seed=seed),
        torch.randn(batch, config.sam.out_channels, grid, grid, generator=generator),
    )
