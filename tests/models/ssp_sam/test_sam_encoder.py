"""SAM's image encoder computes what the stock one does, in less memory."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT

from models.ssp_sam import sam_encoder
from models.ssp_sam.sam_encoder import ImageEncoder, attend_with_positions


def pair(*, window: int, image: int = 160, positions: bool = True) -> tuple[ImageEncoderViT, ImageEncoder]:
    """The stock encoder and ours with the same weights: two blocks, of which the second looks at the whole image."""
    shared = {
        "img_size": image, "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2, "out_chans": 8,
        "use_rel_pos": positions, "window_size": window, "global_attn_indexes": (1,),
    }  # fmt: skip
    torch.manual_seed(0)
    stock, ours = ImageEncoderViT(**shared).eval(), ImageEncoder(**shared).eval()
    with torch.no_grad():
        for parameter in stock.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    ours.load_state_dict(stock.state_dict(), strict=True)
    return stock, ours


@pytest.mark.parametrize("step_bytes", [pytest.param(1, id="one map at a time"), pytest.param(2**30, id="all at once")])
@pytest.mark.parametrize(
    ("window", "positions"),
    [
        pytest.param(5, True, id="windows that fit"),
        pytest.param(4, True, id="windows that need padding"),
        pytest.param(0, True, id="no windows"),
        pytest.param(4, False, id="no positions"),
    ],
)
def test_it_agrees_with_the_stock_encoder(window, positions, step_bytes, monkeypatch):
    monkeypatch.setattr(sam_encoder, "CPU_STEP_BYTES", step_bytes)
    monkeypatch.setattr(sam_encoder, "ROWS_AT_ONCE", 7)  # 100 cells: the last step is shorter
    stock, ours = pair(window=window, positions=positions)
    images = torch.randn(3, 3, 160, 160)
    with torch.no_grad():
        expected, found = stock(images), ours(images)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert found.is_contiguous()  # as a cache gives it back, or sums over it would end in another last bit


def test_training_through_it_reaches_every_weight():
    stock, ours = pair(window=4)
    images = torch.randn(2, 3, 160, 160)
    for encoder in (stock, ours):
        encoder(images).square().mean().backward()
    for (name, expected), found in zip(stock.named_parameters(), ours.parameters(), strict=True):
        assert torch.allclose(found.grad, expected.grad, rtol=1e-3, atol=1e-5), name


def test_an_image_gets_the_same_features_alone_and_in_a_batch():
    _, ours = pair(window=4)
    images = torch.randn(5, 3, 160, 160)
    with torch.inference_mode():
        together = ours(images)
        alone = torch.cat([ours(image[None]) for image in images])
    assert torch.allclose(together, alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


def test_under_autocast_the_norms_of_the_neck_stay_in_float32():
    stock, ours = pair(window=4)
    images = torch.randn(1, 3, 160, 160)
    with torch.inference_mode():
        expected = stock(images)
        with torch.autocast("cpu", torch.bfloat16):
            found = ours(images)
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_positions_are_added_by_row_and_by_column_of_the_key():
    query, key = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 6, 4)
    value = torch.eye(6)[None, None]  # the answer is the attention itself
    rows, columns = torch.tensor([[[[0.0, 9.0]]]]), torch.tensor([[[[0.0, 0.0, 9.0]]]])
    attention = attend_with_positions(query, key, value, rows, columns)[0, 0, 0]
    assert attention.argmax() == 5  # second row, third column
    assert attention[5] > 0.99
