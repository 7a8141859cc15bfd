"""Second stage: SAM learns to segment what a click or a box marks, and to guess how good its mask is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.ssp_sam.model import SspSam
from models.ssp_sam.sam_masks import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    NOT_A_POINT,
    POINT_NEGATIVE,
    POINT_POSITIVE,
    SamFeatures,
    decode_masks,
    embed_prompts,
    encode_image,
)
from models.training.batches import SceneSampler
from models.training.loop import StageConfig
from models.training.losses import balanced_bce, dice_loss, mask_iou, object_bce

BOX_SHARE = 0.4
EXTRA_CLICKS_SHARE = 0.35
"""Of the prompts that are clicks, how many have further clicks, wanted and unwanted."""
BOX_JITTER = 0.04
"""Sides of boxes are off by about this share of their length, as people's are. At .08, masks cut at the tight box were better than masks as
they came: SAM had seen too few boxes that fit."""
CROSS_ENTROPY_WEIGHT = 0.5
IOU_WEIGHT = 0.5
LOSS_SIDE = 128
"""Masks are compared at this side: twice the decoder's own, so that edges between its pixels count."""


class Prompts(NamedTuple):
    """``K`` prompts."""

    image: Tensor
    """int64 ``[K]``: which image of the batch."""
    coordinates: Tensor
    """float ``[K, n, 2]``."""
    labels: Tensor
    """int64 ``[K, n]``."""
    masks: Tensor
    """float ``[K, LOSS_SIDE, LOSS_SIDE]``: share of each cell that the object covers."""


class SamStage:
    """Interactive segmentation of single objects.

    Args:
        config: schedule.
        sampler: batches of scenes.
        prompts_per_image: how many objects of an image are asked for.
    """

    name = "sam"

    def __init__(self, config: StageConfig, sampler: SceneSampler, prompts_per_image: int = 5) -> None:
        self.config = config
        self.sampler = sampler
        self.prompts_per_image = prompts_per_image

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        # The decoder's three further masks and the dense mask prompt are never used.
        trained = [*model.sam.image_encoder.parameters(), *model.sam.mask_decoder.parameters()]
        trained += [p for name, p in model.sam.prompt_encoder.named_parameters() if "mask_downscaling" not in name]
        return [(trained, 1.0)]

    def set_mode(self, model: SspSam) -> None:
        model.eval()
        model.sam.train()

    def loss(self, model: SspSam, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = self.sampler.batch(rng, self.config.batch_size)
        return self.loss_on(model, encode_image(model.sam, batch.sam_image), batch.ids, rng)

    def loss_on(self, model: SspSam, features: SamFeatures, ids: Tensor, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss on images that are encoded already; ``ids`` is uint8 ``[B, S, S]``."""
        prompts = draw_prompts(ids.numpy(), rng, self.prompts_per_image)
        asked = features.select(prompts.image)
        sparse = embed_prompts(model.sam, asked, prompts.coordinates, prompts.labels)
        logits, predicted_iou = decode_masks(model.sam, asked, sparse)
        return mask_loss(logits, predicted_iou, prompts.masks)


def mask_loss(logits: Tensor, predicted_iou: Tensor, masks: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy, dice and the quality guess.

    Args:
        logits: float ``[K, h, w]``, resized to the masks.
        predicted_iou: float ``[K]``.
        masks: coverage float ``[K, h', w']``.
    """
    if len(logits) == 0:
        return logits.sum(), {"mask_iou": float("nan")}
    logits = F.interpolate(logits.float().unsqueeze(1), masks.shape[-2:], mode="bilinear", align_corners=False).squeeze(1)
    iou = mask_iou(logits, masks)
    quality = F.mse_loss(predicted_iou.float(), iou)
    # The balanced part has a gradient from the first step on, where the others see an empty mask as nearly right.
    cross_entropy = balanced_bce(logits, masks) + object_bce(logits, masks)
    return dice_loss(logits, masks) + CROSS_ENTROPY_WEIGHT * cross_entropy + IOU_WEIGHT * quality, {"mask_iou": iou.mean().item()}


def coverage(masks: npt.NDArray[np.bool_] | Tensor, side: int = LOSS_SIDE) -> Tensor:
    """bool ``[K, S, S]`` -> share of each cell that is covered, float ``[K, side, side]``."""
    return F.adaptive_avg_pool2d(torch.as_tensor(masks).float(), side)


def draw_prompts(ids: npt.NDArray[np.uint8], rng: np.random.Generator, per_image: int) -> Prompts:
    """Ask for ``per_image`` random objects of every image, uint8 ``[B, S, S]``, by a box, a click or several clicks."""
    slots = int(rng.integers(2, 5))
    images, coordinates, labels, masks = [], [], [], []
    for image, instance_ids in enumerate(ids):
        present = np.unique(instance_ids[::4, ::4])
        present = present[present > 0]
        if len(present) == 0:
            continue
        for instance in rng.choice(present, per_image):
            mask = instance_ids == instance
            points, kinds = _draw_prompt(mask, rng, slots)
            images.append(image)
            coordinates.append(points)
            labels.append(kinds)
            masks.append(mask)
    return Prompts(
        torch.tensor(images),
        torch.from_numpy(np.stack(coordinates)).float(),
        torch.from_numpy(np.stack(labels)),
        coverage(np.stack(masks)),
    )


def _draw_prompt(
    mask: npt.NDArray[np.bool_], rng: np.random.Generator, slots: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    points = np.zeros((slots, 2))
    kinds = np.full(slots, NOT_A_POINT, dtype=np.int64)
    rows, columns = np.nonzero(mask)
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max() + 1, rows.max() + 1])
    if rng.random() < BOX_SHARE:
        points[:2] = np.stack([low, high]) + rng.normal(0, BOX_JITTER, (2, 2)).clip(-0.2, 0.2) * (high - low)
        kinds[:2] = BOX_TOP_LEFT, BOX_BOTTOM_RIGHT
        return points, kinds
    clicks = int(rng.integers(1, slots + 1)) if rng.random() < EXTRA_CLICKS_SHARE else 1
    for slot in range(clicks):
        wanted = slot == 0 or rng.random() < 0.5
        points[slot], kinds[slot] = _draw_click(mask, rows, columns, low, high, rng, wanted=wanted)
    return points, kinds


def _draw_click(
    mask: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    low: npt.NDArray[np.intp],
    high: npt.NDArray[np.intp],
    rng: np.random.Generator,
    *,
    wanted: bool,
) -> tuple[tuple[int, int], int]:
    if not wanted:
        # Unwanted clicks fall near the object, where a mask would spill.
        margin = (high - low) // 2 + 8
        for _ in range(8):
            x, y = rng.integers(low - margin, high + margin)
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and not mask[y, x]:
                return (int(x), int(y)), POINT_NEGATIVE
    pick = rng.integers(len(rows))
    return (int(columns[pick]), int(rows[pick])), POINT_POSITIVE
