"""What a prediction is told: the losses of this project's recipe, or those of the paper, with their weights.

Every term is a mean over some of the expressions. Where several processes share a step, each has its own part of them, so a term counts as
much as its part of them all (:class:`Shares`); then the sum of gradients is that of one process that sees everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.finetuning.lessons import Lesson
from models.ssp_sam.model import Prediction
from models.training.losses import box_loss, dice_loss, focal_loss, mask_iou, object_bce, pointing_loss, projection_loss
from models.training.prompt_stage import (
    BOX_WEIGHT,
    EARLIER_RELEVANCE_WEIGHT,
    PRESENCE_WEIGHT,
    RELEVANCE_WEIGHT,
    SMALLEST_PATCH_AREA,
)
from models.training.sam_stage import coverage, mask_loss

WEAK_WEIGHT = 0.5
"""Of masks that are only known by a box."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much more, or less, this process's mean counts than that of an average process; 1 where it is alone."""

    every: float = 1.0
    """For means over all expressions."""
    drawn: float = 1.0
    """For means over those with a mask."""
    weak: float = 1.0
    """For means over those with boxes only."""
    target: float = 1.0
    """For means over both."""
    judged: float = 1.0
    """For means over all but the weak ones."""
    named: float = 1.0
    """For means over patches with a name."""


ALONE = Shares()


class Objective(Protocol):
    """A loss of a lesson, and figures to log."""

    def __call__(self, prediction: Prediction, lesson: Lesson, grid: int, shares: Shares) -> tuple[Tensor, dict[str, float]]:
        """Judge a prediction; ``grid`` is the number of CLIP's patches along one side."""


def pointing_objective(prediction: Prediction, lesson: Lesson, grid: int, shares: Shares = ALONE) -> tuple[Tensor, dict[str, float]]:
    """The recipe's: masks, boxes, relevance of every patch and of the right ones against the others, presence.

    Raises:
        ValueError: the network has no presence head.
    """
    if prediction.relevance is None or prediction.presence is None:
        raise ValueError("this objective needs a network with relevance and presence; use the objective 'published'")
    target, drawn, weak = _kinds(lesson)
    masks, figures = mask_loss(prediction.low_res_logits[drawn], prediction.predicted_iou[drawn], lesson.masks[drawn])
    patch_share = coverage(lesson.masks, grid).flatten(1)

    def relevance_of(logits: Tensor) -> Tensor:
        judged = ~lesson.is_weak  # of the patches in a box nobody knows which are meant
        alone = object_bce(logits[judged], patch_share[judged], SMALLEST_PATCH_AREA) if judged.any() else logits.sum() * 0
        return shares.judged * alone + shares.target * pointing_loss(logits[target], patch_share[target])

    presence = F.binary_cross_entropy_with_logits(prediction.presence, target.float())
    boxes = box_loss(prediction.box[target], lesson.boxes[target])
    loss = shares.drawn * masks + shares.weak * WEAK_WEIGHT * _weak_loss(prediction, lesson, weak)
    loss = loss + shares.every * PRESENCE_WEIGHT * presence + shares.target * BOX_WEIGHT * boxes
    loss = loss + RELEVANCE_WEIGHT * relevance_of(prediction.relevance)
    for earlier in prediction.earlier_relevance:
        loss = loss + EARLIER_RELEVANCE_WEIGHT * relevance_of(earlier)
    with torch.no_grad():
        right = (prediction.presence > 0).eq(target).float().mean()
    return loss, {**figures, "presence_accuracy": right.item(), "box_loss": boxes.item()}


def published_objective(prediction: Prediction, lesson: Lesson, grid: int, shares: Shares = ALONE) -> tuple[Tensor, dict[str, float]]:
    """The paper's: 4 dice + 4 focal + 5 L1 + 2 GIoU (spec 5.1), where nothing is meant with an empty mask and without a box.

    The ground truth grows by the cells that it only touches, as in the published training (spec 2.3).
    """
    target, _, weak = _kinds(lesson)
    judged = ~lesson.is_weak
    masks = (lesson.masks[judged] > 0).float()
    logits = _resized(prediction.low_res_logits[judged], masks)
    drawn = 4 * dice_loss(logits, masks) + 4 * focal_loss(logits, masks) if len(masks) else logits.sum()
    boxes = box_loss(prediction.box[target], lesson.boxes[target])
    loss = shares.judged * drawn + shares.weak * WEAK_WEIGHT * _weak_loss(prediction, lesson, weak) + shares.target * boxes
    iou = mask_iou(logits, masks)
    return loss, {"mask_iou": iou.mean().item() if len(iou) else float("nan"), "box_loss": boxes.item()}


def _kinds(lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
    """Which expressions refer to something, to something with a mask, to something with boxes only; bool ``[K]`` each."""
    return lesson.has_target, lesson.has_target & ~lesson.is_weak, lesson.has_target & lesson.is_weak


def _weak_loss(prediction: Prediction, lesson: Lesson, weak: Tensor) -> Tensor:
    boxes = lesson.masks[weak]
    return projection_loss(_resized(prediction.low_res_logits[weak], boxes), boxes)


def _resized(logits: Tensor, masks: Tensor) -> Tensor:
    if len(logits) == 0:
        return logits
    return F.interpolate(logits.float().unsqueeze(1), masks.shape[-2:], mode="bilinear", align_corners=False).squeeze(1)
