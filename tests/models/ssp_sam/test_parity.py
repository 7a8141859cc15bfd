"""The network against an independent implementation of the published formulas (``published_forward.py``)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.ssp_sam.checkpoint import export_official
from models.ssp_sam.config import SamConfig, SspSamConfig, ssp_sam_224, ssp_sam_336
from models.ssp_sam.model import SspSam
from tests.models.ssp_sam.networks import inputs, perturbed, random_network
from tests.models.ssp_sam.published_forward import MISTAKES, Numbers, PublishedForward

TOLERANCE = 1e-5
NOTICED = 100 * TOLERANCE


def ours(model: SspSam, sample: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        prediction = model(*sample)
        return prediction.box, model.mask_logits(prediction.low_res_logits)


def published(model: SspSam, sample: tuple[Tensor, Tensor, Tensor], mistake: str | None = None) -> tuple[Tensor, Tensor]:
    forward = PublishedForward(export_official(model), Numbers.of(model.config), mistake)
    with torch.inference_mode():
        boxes, masks = zip(*(forward(*one) for one in zip(*sample, strict=True)), strict=True)
    return torch.stack(boxes), torch.stack(masks)


@pytest.fixture(scope="module")
def model() -> SspSam:
    return perturbed()


@pytest.fixture(scope="module")
def sample(model) -> tuple[Tensor, Tensor, Tensor]:
    return inputs(model.config, 3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_boxes_and_masks_agree_with_the_published_formulas(seed):
    model = perturbed(seed=seed)
    sample = inputs(model.config, 1, 5, model.config.clip.context_length - 2, seed=seed)
    torch.testing.assert_close(ours(model, sample), published(model, sample), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_formulas_would_be_noticed(model, sample, mistake):
    _, right = ours(model, sample)
    _, wrong = published(model, sample, mistake)
    assert (right - wrong).abs().max() > NOTICED


def without_the_image_encoder_of_sam(config: SspSamConfig) -> SspSamConfig:
    """SAM's embedding is an input here, so its encoder may be small."""
    return replace(config, sam=SamConfig(width=16, depth=1, heads=1, global_blocks=(0,)))


@pytest.mark.slow
@pytest.mark.parametrize("config", [pytest.param(ssp_sam_224(), id="224"), pytest.param(ssp_sam_336(), id="336")])
def test_the_published_sizes_agree_with_the_published_formulas(config):
    model = random_network(without_the_image_encoder_of_sam(config))
    sample = inputs(model.config, 4, 12)
    box, masks = ours(model, sample)
    torch.testing.assert_close((box, masks), published(model, sample), atol=1e-4, rtol=0)
    assert masks.std() > 0.01
