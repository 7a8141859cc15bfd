"""From points to SAM's masks: decoded in batches, one mask per point, the doubtful and the doubled ones dropped (spec 2.5, 7.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from models.devices import Compute
from models.preprocess import Letterbox
from models.sam_mi.canvas import end_at_border, image_cells, move
from models.sam_mi.presets import Preset
from models.ssp_sam.sam_masks import NOT_A_POINT, POINT_POSITIVE, SamFeatures, decode_tokens, embed_prompts

POINTS_AT_ONCE = 32
STABILITY_OFFSET = 1.0
"""SAM's: a mask is stable when its area hardly changes between logits of +1 and of -1."""
REGION_WEIGHT = 0.5
"""How much the region that a point lies in helps to choose among SAM's masks of this point."""


class SamMasks(NamedTuple):
    """M masks over CLIP's canvas."""

    logits: Tensor
    """float ``[M, side, side]``."""
    predicted_iou: Tensor
    """float ``[M]``, 0..1."""
    stability: Tensor
    """float ``[M]``, 0..1."""
    point: Tensor
    """int64 ``[M]``: number of the point that each mask answers."""

    def select(self, index: Tensor) -> SamMasks:
        """The masks ``index``, int64 or bool."""
        return SamMasks(*(part[index] for part in self))

    @property
    def soft(self) -> Tensor:
        """float ``[M, side, side]``, 0..1."""
        return self.logits.sigmoid()

    @property
    def hard(self) -> Tensor:
        """bool ``[M, side, side]``."""
        return self.logits > 0

    @property
    def quality(self) -> Tensor:
        """float ``[M]``, 0..1: guessed IoU times stability."""
        return self.predicted_iou * self.stability


def masks_at_points(
    sam: Sam,
    features: SamFeatures,
    points: Tensor,
    regions: Tensor,
    frames: tuple[Letterbox, Letterbox],
    side: int,
    preset: Preset,
    compute: Compute,
) -> SamMasks:
    """The best mask of each point, if it is good.

    Args:
        sam: the model.
        features: of one image.
        points: float ``[N, 2]``, x and y in pixels of SAM's canvas.
        regions: bool ``[N, side, side]`` over CLIP's canvas: what the words mark around each point; all false where nothing.
        frames: CLIP's letterbox, SAM's letterbox.
        side: of the masks.
        preset: thresholds.
        compute: how precisely to decode.
    """
    clip_frame, sam_frame = frames
    device = features.embedding.device
    inside = image_cells(clip_frame, side).to(device)
    parts = [no_masks(side, device)]
    for start in range(0, len(points), POINTS_AT_ONCE):
        batch = slice(start, start + POINTS_AT_ONCE)
        padded = torch.stack([points[batch], torch.zeros_like(points[batch])], dim=1)
        kinds = torch.tensor([[POINT_POSITIVE, NOT_A_POINT]], device=device).expand(len(padded), -1)
        with compute.autocast():
            repeated = features.repeat(len(padded))
            sparse = embed_prompts(sam, repeated, padded, kinds)
            logits, iou = (part.float() for part in decode_tokens(sam, repeated, sparse, preset.mask_tokens))
        stability = stability_of(logits)
        moved = end_at_border(move(logits.flatten(0, 1), sam_frame, clip_frame, side), clip_frame).reshape(*logits.shape[:2], side, side)
        choice = (iou + REGION_WEIGHT * _overlap(moved > 0, regions[batch, None])).argmax(dim=1)
        rows = torch.arange(len(choice), device=device)
        parts.append(SamMasks(moved[rows, choice], iou[rows, choice].clamp(0, 1), stability[rows, choice], rows + start))
    masks = SamMasks(*(torch.cat(part) for part in zip(*parts, strict=True)))
    return drop_doubtful(masks, inside, preset)


def no_masks(side: int, device: torch.device) -> SamMasks:
    """Not a single mask."""
    nothing = torch.zeros(0, device=device)
    return SamMasks(torch.zeros(0, side, side, device=device), nothing, nothing, nothing.long())


def stability_of(logits: Tensor) -> Tensor:
    """float ``[..., h, w]`` -> ``[...]``: area above +1 over area above -1; 0 for an empty mask."""
    strict = (logits > STABILITY_OFFSET).sum(dim=(-2, -1)).float()
    generous = (logits > -STABILITY_OFFSET).sum(dim=(-2, -1)).float()
    return strict / generous.clamp(min=1)


def drop_doubtful(masks: SamMasks, inside: Tensor, preset: Preset) -> SamMasks:
    """Without masks that SAM doubts, that are tiny or empty, or that nearly equal a better one; the best first."""
    area = masks.hard.sum(dim=(1, 2)) / inside.sum()
    good = (masks.predicted_iou >= preset.mask_iou) & (masks.stability >= preset.stability) & (area >= preset.mask_area) & (area > 0)
    masks = masks.select(good)
    masks = masks.select(masks.quality.argsort(descending=True, stable=True))
    return masks.select(suppress(pairwise_iou(masks.hard), preset.mask_nms))


def pairwise_iou(hard: Tensor) -> Tensor:
    """bool ``[M, h, w]`` -> float ``[M, M]``."""
    flat = hard.flatten(1).float()
    shared = flat @ flat.T
    area = flat.sum(dim=1)
    return shared / (area[:, None] + area[None, :] - shared).clamp(min=1)


def suppress(overlap: Tensor, threshold: float) -> Tensor:
    """Numbers int64 of what remains when, best first, each drops later ones that overlap it by at least ``threshold``."""
    close = (overlap >= threshold).cpu()
    dropped = torch.zeros(len(close), dtype=torch.bool)
    for one in range(len(close)):
        if not dropped[one]:
            dropped[one + 1 :] |= close[one, one + 1 :]
    return torch.nonzero(~dropped).squeeze(1).to(overlap.device)


def _overlap(masks: Tensor, regions: Tensor) -> Tensor:
    """IoU of bool ``[K, m, h, w]`` with bool ``[K, 1, h, w]``, float ``[K, m]``; 0 with an empty region."""
    shared = (masks & regions).sum(dim=(2, 3))
    return shared / (masks | regions).sum(dim=(2, 3)).clamp(min=1)
