"""What happens to a fresh network before a stage: what is learned already is copied, what would learn slowly is brought to size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.ssp_sam.model import SspSam
from models.ssp_sam.sam_masks import positional_code


@torch.no_grad()
def start_sam_from_clip(model: SspSam) -> None:
    """Copy what CLIP's image tower has learned into SAM's image encoder, where shapes agree.

    What tells a cat from a dog also tells it from the grass. Without this start the click stage learns several times slower.
    """
    clip, sam = model.clip.visual, model.sam.image_encoder
    sam.patch_embed.load_state_dict(clip.conv1.state_dict())
    side = model.config.sam.grid
    sam.pos_embed.copy_(clip.positional_embedding[1:].unflatten(0, (side, side)).unsqueeze(0))
    for source, target in zip(clip.transformer.resblocks, sam.blocks, strict=False):
        pairs: list[tuple[Tensor, Tensor]] = [
            (target.attn.qkv.weight, source.attn.in_proj_weight),
            (target.attn.qkv.bias, source.attn.in_proj_bias),
            (target.attn.proj.weight, source.attn.out_proj.weight),
            (target.attn.proj.bias, source.attn.out_proj.bias),
        ]
        modules = [
            (target.norm1, source.ln_1),
            (target.norm2, source.ln_2),
            (target.mlp.lin1, source.mlp.c_fc),
            (target.mlp.lin2, source.mlp.c_proj),
        ]
        pairs += [(getattr(a, part), getattr(b, part)) for a, b in modules for part in ("weight", "bias")]
        for to, value in pairs:
            to.copy_(value)


@torch.no_grad()
def start_head(model: SspSam) -> None:
    """Bring what the head adds up to one size, so that it sees what is there as clearly as where.

    With default initialisation, what the patches of an image show differed by 0.0008 (standard deviation) where their positional code
    differs by 0.4 and the generator's table of positions by 1.0: several products of small numbers stand before the sum.
    """
    visual, generator = model.visual_adapter, model.generator
    first, *others = [layer.weight for layer in visual.patch_mlp.layers if isinstance(layer, nn.Linear)]
    first.mul_(model.config.clip.embed_dim**0.5)  # its input has length 1, not variance 1
    for weight in others:
        weight.mul_(2)
    visual.gaussian_sigma.fill_(1.0)
    model.linguistic_adapter.word_projection.weight.mul_(2)
    generator.mix.weight.mul_(6)
    generator.positions.weight.mul_(0.1)
    if generator.position_mix is not None:
        code = positional_code(model.sam)
        generator.position_mix.weight.copy_(smooth_position_weight(code, model.config.sam.grid))
        generator.position_mix.bias.zero_()
    if model.presence_head is not None:
        *_, last = [layer.bias for layer in model.presence_head.relevance.layers if isinstance(layer, nn.Linear)]
        last.fill_(-3.0)  # one patch in twenty is meant; from one half, the first steps would be spent on saying so


def smooth_position_weight(code: Tensor, side: int) -> Tensor:
    """A linear map of SAM's positional code that starts as a smooth picture of "where".

    The code is made of waves that cross the image about twice; "left" is a slow function of them that gradients are long in finding.

    Args:
        code: float ``[side * side, d]``, cells row by row.
        side: cells along one side.

    Returns:
        float ``[d, d]``: its image of the code is, as nearly as a ridge regression gets, random mixtures of x, y and their products, of
        size one.
    """
    y, x = (axis.flatten() for axis in torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij"))
    smooth = torch.stack([2 * x, 2 * y, x * y, x.square() - x.square().mean(), y.square() - y.square().mean()], dim=1)
    wanted = smooth @ torch.randn(smooth.shape[1], code.shape[1])
    wanted = wanted / wanted.square().mean().sqrt()
    ridge = 0.1 * torch.eye(code.shape[1])
    weight: Tensor = torch.linalg.solve(code.T @ code + ridge, code.T @ wanted).T
    return weight
