"""Published CAT-Seg tensors find their places; the names were read from the published code, no checkpoint was at hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models import WeightsError
from models.sam_mi.cat_seg import AGGREGATOR, OWN_PARTS, cat_seg_name, load_cat_seg
from models.sam_mi.config import cat_seg_vit_b
from models.sam_mi.model import SamMi

SHAPES = {
    "conv1.weight": (128, 1, 7, 7),
    "guidance_projection.0.weight": (128, 512, 3, 3),
    "text_guidance_projection.0.weight": (128, 512),
    "layers.0.swin_block.block_1.attn.q.weight": (128, 256),
    "layers.0.swin_block.block_2.attn.v.weight": (128, 128),
    "layers.1.swin_block.block_2.attn.proj.bias": (128,),
    "layers.1.swin_block.block_1.mlp.fc1.weight": (512, 128),
    "layers.1.swin_block.block_1.mlp.fc2.weight": (128, 512),
    "layers.0.swin_block.guidance_norm.weight": (128,),
    "layers.0.attention.attention.k.weight": (128, 256),
    "layers.0.attention.MLP.2.weight": (128, 512),
    "layers.1.attention.norm2.weight": (128,),
    "layers.0.attention.padding_tokens": (128,),
    "layers.1.attention.padding_guidance": (128,),
    "decoder_guidance_projection.0.0.weight": (32, 256, 3, 3),
    "decoder_guidance_projection.1.0.bias": (16,),
    "decoder1.up.weight": (128, 96, 2, 2),
    "decoder1.conv.double_conv.0.weight": (64, 128, 3, 3),
    "decoder2.conv.double_conv.4.bias": (32,),
    "head.weight": (1, 32, 3, 3),
}
"""As the published code builds them, without the prefix; padding without its leading ones."""


def published(network: SamMi) -> dict[str, Tensor]:
    """A checkpoint as CAT-Seg writes it, with random numbers."""
    tensors = {cat_seg_name(name): torch.randn_like(one) for name, one in network.state_dict().items() if not name.startswith(OWN_PARTS)}
    return {
        **{name: one.reshape(1, 1, -1) if ".padding_" in name else one for name, one in tensors.items()},
        AGGREGATOR + "layers.0.swin_block.block_2.attn_mask": torch.zeros(4, 144, 144),
        "sem_seg_head.predictor.clip_model.visual.proj": torch.zeros(768, 512),
    }


@pytest.fixture(scope="module")
def network() -> SamMi:
    return SamMi(cat_seg_vit_b())


def test_names_and_shapes_are_those_of_the_published_code(network):
    shapes = {cat_seg_name(name): tuple(one.shape) for name, one in network.state_dict().items() if not name.startswith(OWN_PARTS)}
    for name, shape in SHAPES.items():
        assert shapes[AGGREGATOR + name] == shape
    assert shapes["upsample1.weight"] == (768, 256, 2, 2)
    assert shapes["upsample2.weight"] == (768, 128, 4, 4)
    assert all(name.startswith((AGGREGATOR, "upsample")) for name in shapes)


def test_every_published_tensor_is_taken_over_and_the_injection_stays(network):
    checkpoint = published(network)
    before = {name: one.clone() for name, one in network.state_dict().items() if name.startswith(OWN_PARTS)}
    load_cat_seg(network, checkpoint)
    after = network.state_dict()
    assert all(torch.equal(after[name], one) for name, one in before.items())
    for name, one in after.items():
        if name not in before:
            assert torch.equal(one.flatten(), checkpoint[cat_seg_name(name)].flatten()), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({AGGREGATOR + "head.weight": None}, "1 missing", id="missing"),
        pytest.param({AGGREGATOR + "head.scale": torch.zeros(1)}, "1 not expected", id="unknown"),
        pytest.param({AGGREGATOR + "head.weight": torch.zeros(1, 16, 3, 3)}, "of another shape", id="another size"),
    ],
)
def test_what_does_not_fit_is_refused_whole(network, change, message):
    checkpoint = {name: one for name, one in {**published(network), **change}.items() if one is not None}
    before = network.decoder.head.bias.clone()
    with pytest.raises(WeightsError, match=message):
        load_cat_seg(network, checkpoint)
    assert torch.equal(network.decoder.head.bias, before)
