"""The image side in two parts is the image side; what is kept of the first part belongs to its weights and to the image alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import image_digest
from models.devices import Compute
from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS
from models.finetuning.encoders import SplitEncoders
from models.ssp_sam.config import SspSamConfig, contract, tiny
from models.ssp_sam.image_side import ImageSide
from models.ssp_sam.model import SspSam
from models.types import RgbImage
from tests.models.ssp_sam.networks import perturbed

CPU = Compute(torch.device("cpu"))
IMAGES = [np.random.default_rng(seed).integers(0, 255, (40 + seed, 60, 3), dtype=np.uint8) for seed in range(2)]


def split(model: SspSam, tail: int, cache: EmbeddingCache | None = None) -> SplitEncoders:
    return SplitEncoders(model, tail, CPU, cache or EmbeddingCache(2**28))


def trunk(encoders: SplitEncoders, image: RgbImage) -> dict[str, torch.Tensor]:
    return encoders.trunk(image_digest(image), lambda: image)


@pytest.mark.parametrize("config", [pytest.param(contract(), id="published architecture"), pytest.param(tiny(), id="tiny")])
@pytest.mark.parametrize("tail", [0, 1, 3, 99])
def test_trunk_and_tail_are_what_the_engine_computes(config: SspSamConfig, tail: int) -> None:
    model = perturbed(config)
    whole = ImageSide(model, version="x", compute=CPU, cache=EmbeddingCache(0), options=DEFAULT_OPTIONS)
    encoders = split(model, tail)
    with torch.inference_mode():
        features = encoders.features([trunk(encoders, image) for image in IMAGES])
        for number, image in enumerate(IMAGES):
            expected = whole.features(image)
            assert torch.allclose(features.clip_tokens[number], expected.clip_tokens[0], atol=1e-4)
            assert torch.allclose(features.sam.embedding[number], expected.sam.embedding[0], atol=1e-4)
            assert (features.sam.skip4 is None) == (expected.sam.skip4 is None)


def test_a_known_image_is_not_even_loaded_again() -> None:
    encoders = split(perturbed(), 1)
    first = trunk(encoders, IMAGES[0])

    def load() -> RgbImage:
        raise AssertionError("the image was asked for")

    assert encoders.trunk(image_digest(IMAGES[0]), load) is first


@pytest.mark.parametrize(
    ("block", "is_shared"), [pytest.param(0, False, id="a block of the trunk"), pytest.param(7, True, id="a block of the tail")]
)
def test_what_is_kept_is_of_the_trunks_weights_and_not_of_the_tails(block: int, is_shared: bool) -> None:
    cache, other = EmbeddingCache(2**28), perturbed()
    with torch.no_grad():
        other.clip.visual.transformer.resblocks[block].mlp.c_fc.bias += 1
    first = trunk(split(perturbed(), 2, cache), IMAGES[0])
    assert (trunk(split(other, 2, cache), IMAGES[0]) is first) == is_shared


def test_gradients_reach_the_tail_and_nothing_before_it() -> None:
    model = perturbed()
    encoders = split(model, 2)
    features = encoders.features([trunk(encoders, IMAGES[0])])
    features.clip_tokens.square().sum().backward()
    blocks = model.clip.visual.transformer.resblocks
    assert [block.attn.in_proj_weight.grad is not None for block in blocks] == 6 * [False] + 2 * [True]
