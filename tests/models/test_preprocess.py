"""Images into the networks and masks back out, against the stock package and the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from segment_anything.utils.transforms import ResizeLongestSide

from models.preprocess import clip_image, clip_letterbox, masks_to_image, sam_image, sam_letterbox
from models.ssp_sam.config import contract
from models.ssp_sam.sam_masks import build_sam

SIZES_HW = [(480, 640), (641, 480), (37, 53), (500, 333), (1024, 1024), (8, 900), (1365, 2048)]


def ids(size_hw) -> str:
    return f"{size_hw[0]}x{size_hw[1]}"


def picture(size_hw: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def stock_sam():
    with torch.device("meta"):
        sam = build_sam(contract().sam)
    sam.image_encoder.img_size = 1024
    sam.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    sam.pixel_std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    return sam


@pytest.mark.parametrize("size_hw", SIZES_HW, ids=ids)
def test_sam_sees_the_image_as_the_stock_predictor_shows_it(stock_sam, size_hw):
    image = picture(size_hw)
    resized = ResizeLongestSide(1024).apply_image(image)
    stock = stock_sam.preprocess(torch.as_tensor(resized).permute(2, 0, 1)[None])[0]
    letterbox = sam_letterbox(size_hw, 1024)
    assert letterbox.resized_hw == resized.shape[:2]
    assert torch.equal(sam_image(image, letterbox), stock)


@pytest.mark.parametrize("size_hw", SIZES_HW, ids=ids)
def test_masks_come_back_as_stock_sam_brings_them(stock_sam, size_hw):
    logits = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    letterbox = sam_letterbox(size_hw, 1024)
    stock = stock_sam.postprocess_masks(logits[:, None], letterbox.resized_hw, size_hw)[:, 0]
    assert torch.equal(masks_to_image(logits, letterbox), stock)


@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize("size_hw", SIZES_HW, ids=ids)
def test_clips_canvas_follows_the_published_rule(size_hw, side):
    height, width = size_hw
    ratio = side / max(size_hw)
    expected = round(height * ratio), round(width * ratio)
    letterbox = clip_letterbox(size_hw, side)
    assert letterbox.resized_hw == expected
    assert (letterbox.top, letterbox.left) == (round((side - expected[0]) / 2 - 0.1), round((side - expected[1]) / 2 - 0.1))
    assert letterbox.padding().sum() == side**2 - expected[0] * expected[1]


def test_clip_sees_bilinear_pixels_and_zeros_after_normalisation():
    image = picture((100, 201))
    letterbox = clip_letterbox((100, 201), 224)
    assert (letterbox.resized_hw, letterbox.top, letterbox.left) == ((111, 224), 56, 0)
    seen = clip_image(image, letterbox)
    resized = np.asarray(Image.fromarray(image).resize((224, 111), Image.Resampling.BILINEAR), dtype=np.float64) / 255
    expected = (resized - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    np.testing.assert_allclose(seen[:, 56:167].permute(1, 2, 0), expected, atol=1e-5)
    assert not seen[:, :56].any()
    assert not seen[:, 167:].any()


@pytest.mark.parametrize("size_hw", SIZES_HW, ids=ids)
@pytest.mark.parametrize("make", [lambda hw: clip_letterbox(hw, 224), lambda hw: sam_letterbox(hw, 1024)], ids=["clip", "sam"])
def test_a_box_returns_to_its_pixels(size_hw, make):
    height, width = size_hw
    letterbox = make(size_hw)
    for box in [(0.0, 0.0, float(width), float(height)), (width * 0.25, height * 0.5, width * 0.75, height * 0.625)]:
        np.testing.assert_allclose(letterbox.box_to_image(letterbox.box_to_canvas(box)), box, atol=1e-3)


def test_a_box_that_leaves_the_image_is_cut_at_its_edges():
    letterbox = clip_letterbox((100, 200), 224)
    assert letterbox.box_to_image((-10.0, 0.0, 300.0, 224.0)) == (0.0, 0.0, 200.0, 100.0)


def test_each_axis_has_its_own_ratio():
    letterbox = clip_letterbox((37, 53), 32)
    assert letterbox.resized_hw == (22, 32)
    left, top, right, bottom = letterbox.box_to_canvas((0.0, 0.0, 53.0, 37.0))
    assert (right - left, bottom - top) == pytest.approx((32.0, 22.0))


def test_a_mask_survives_the_way_in_and_out():
    mask = torch.zeros(1, 480, 640)
    mask[:, 100:300, 200:500] = 1.0
    letterbox = sam_letterbox((480, 640), 1024)
    canvas = F.pad(F.interpolate(mask[None], letterbox.resized_hw, mode="bilinear")[0], (0, 0, 0, 1024 - letterbox.resized_hw[0]))
    low_res = F.interpolate(canvas[None], (256, 256), mode="area")[0] - 0.5
    back = masks_to_image(low_res, letterbox) >= 0
    assert (back & (mask > 0)).sum() / (back | (mask > 0)).sum() > 0.97


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 5000), (5000, 1)], ids=ids)
def test_the_thinnest_images_keep_a_pixel(size_hw):
    image = picture(size_hw)
    assert sam_image(image, sam_letterbox(size_hw, 128)).shape == (3, 128, 128)
    assert clip_image(image, clip_letterbox(size_hw, 32)).shape == (3, 32, 32)
    assert masks_to_image(torch.zeros(1, 32, 32), sam_letterbox(size_hw, 128)).shape == (1, *size_hw)
