"""Adapters begin as nothing, learn alone, and are gone without a trace when they are merged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.finetuning.low_rank import add_adapters, merge_adapters
from models.ssp_sam.config import SspSamConfig, contract, tiny
from models.ssp_sam.model import SspSam
from tests.models.ssp_sam.networks import inputs, perturbed


def adapted(config: SspSamConfig) -> tuple[SspSam, list[nn.Parameter]]:
    model = perturbed(config)
    blocks = [*list(model.clip.visual.transformer.resblocks)[-2:], model.sam.image_encoder.blocks[-1]]
    return model, add_adapters(blocks, rank=3)


@pytest.mark.parametrize("config", [pytest.param(contract(), id="published architecture"), pytest.param(tiny(), id="tiny")])
def test_an_adapter_changes_nothing_until_it_has_learned(config: SspSamConfig) -> None:
    clip_image, _, _ = inputs(config, 3)
    model, trained = adapted(config)
    assert torch.equal(model.clip.encode_patches(clip_image), perturbed(config).clip.encode_patches(clip_image))
    assert len(trained) == 2 * 4 * 3  # two matrices, four projections, three blocks


def test_merged_weights_answer_as_the_adapters_did_under_the_names_from_before() -> None:
    config = contract()
    clip_image, _, _ = inputs(config, 3)
    model, trained = adapted(config)
    with torch.no_grad():
        for parameter in trained:
            parameter += 0.1
    before = perturbed(config)
    learned = model.clip.encode_patches(clip_image)
    assert not torch.allclose(learned, before.clip.encode_patches(clip_image), atol=1e-2)
    merge_adapters(model)
    assert torch.allclose(model.clip.encode_patches(clip_image), learned, atol=1e-5)
    assert set(model.state_dict()) == set(before.state_dict())
