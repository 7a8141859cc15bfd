"""Losses of the recipes. Masks are logits against coverage in 0..1; every function returns one scalar."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

SMALLEST_AREA = 16.0
"""Pixels; below this an object's area no longer scales its loss."""


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - dice with one smoothing pixel (spec 5.1), mean over masks; both float ``[K, H, W]``."""
    probability, target = logits.sigmoid().flatten(1), target.flatten(1)
    overlap = (probability * target).sum(dim=1)
    return (1 - (2 * overlap + 1) / (probability.sum(dim=1) + target.sum(dim=1) + 1)).mean()


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over pixels, with exponent 2 and weight .25 on foreground and .75 on background (spec 5.1); both float ``[K, H, W]``."""
    if len(logits) == 0:
        return logits.sum()
    loss: Tensor = sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2, reduction="mean")
    return loss


def projection_loss(logits: Tensor, boxes: Tensor) -> Tensor:
    """Dice of what masks and filled boxes cover of each axis, mean over masks; both float ``[K, H, W]``.

    All that a box says of a mask: it fills the box from side to side, and nothing is outside (Tian et al., BoxInst, CVPR 2021).
    """
    if len(logits) == 0:
        return logits.sum()
    per_axis = [dice_loss(logits.amax(dim=axis, keepdim=True), boxes.amax(dim=axis, keepdim=True)) for axis in (1, 2)]
    return per_axis[0] + per_axis[1]


def balanced_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of masks, foreground and background weighing the same in each; both float ``[K, H, W]``.

    A small object would otherwise weigh as much as its few pixels.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1)
    target = target.flatten(1)
    inside = (loss * target).sum(dim=1) / target.sum(dim=1).clamp(min=1)
    outside = (loss * (1 - target)).sum(dim=1) / (1 - target).sum(dim=1).clamp(min=1)
    return (inside + outside).mean() / 2


def object_bce(logits: Tensor, target: Tensor, smallest_area: float = SMALLEST_AREA) -> Tensor:
    """Cross-entropy summed over the image in units of the object's area, mean over masks; both float ``[K, H, W]`` or ``[K, N]``.

    A wrong rim of one pixel costs a small object more than a large one, as it does in IoU.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(dim=1)
    return (loss / target.flatten(1).sum(dim=1).clamp(min=smallest_area)).mean()


def pointing_loss(logits: Tensor, target: Tensor) -> Tensor:
    """-log of the share of the softmax over patches that falls on the target, mean over phrases.

    Here the second dog costs as much as the first one earns. In a balanced cross-entropy it is eight patches among 250 of background.

    Args:
        logits: float ``[K, N]``.
        target: share of each patch that the target covers, float ``[K, N]``; somewhere above zero.
    """
    if len(logits) == 0:
        return logits.sum()
    on_target = (logits.log_softmax(dim=-1) + target.clamp(min=1e-6).log()).logsumexp(dim=-1)
    return -on_target.mean()


def box_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """5 L1 + 2 GIoU (spec 5.1), mean over boxes; both ``[K, 4]`` as cx, cy, w, h in 0..1."""
    if len(predicted) == 0:
        return predicted.sum()
    l1 = (predicted - target).abs().sum(dim=1).mean()
    giou: Tensor = generalized_box_iou_loss(to_corners(predicted), to_corners(target), reduction="mean")
    return 5 * l1 + 2 * giou


def to_corners(boxes: Tensor) -> Tensor:
    """cx, cy, w, h -> x0, y0, x1, y1, ``[..., 4]``."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of thresholded masks, float ``[K]``; both float ``[K, H, W]``. Two empty masks agree."""
    predicted, truth = (logits > 0).flatten(1), (target > 0.5).flatten(1)
    union = (predicted | truth).sum(dim=1)
    return torch.where(union > 0, (predicted & truth).sum(dim=1) / union.clamp(min=1), 1.0)
