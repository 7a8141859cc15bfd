"""The stages in which the head turns phrases into prompts: on frozen encoders, then with all but CLIP's image tower."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data.emoji_scenes.grammar import KIND_WEIGHTS, Expression, sample_expressions
from models.data.emoji_scenes.meta import SceneMeta
from models.ssp_sam.model import ImageFeatures, SspSam, trainable_head
from models.ssp_sam.sam_masks import encode_image
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.batches import SceneBatch, SceneSampler
from models.training.clip_stage import LabelText, patch_text_loss
from models.training.loop import StageConfig
from models.training.losses import box_loss, object_bce, pointing_loss
from models.training.sam_stage import SamStage, coverage, mask_loss

RELEVANCE_WEIGHT = 0.5
EARLIER_RELEVANCE_WEIGHT = 0.25
"""For each layer of the generator before the last: what is meant must show early, so that later layers can compare."""
SMALLEST_PATCH_AREA = 4.0
"""Patches; in units of this area count phrases without a target and with a tiny one."""
PRESENCE_WEIGHT = 1.0
BOX_WEIGHT = 0.2
NAMING_WEIGHT = 0.5
CLICK_WEIGHT = 1.0
"""The click loss of the second stage goes on in the joint stage, so that the decoder keeps its clicks and boxes."""
EMPHASIS = {"name": 1.5, "name_color": 1.8, "color": 2.0, "size": 2.0, "spatial": 1.3, "ordinal": 0.7, "multi": 2.0, "category": 1.5}
"""How much more often these kinds are asked than the reported splits do: what tells things of one name apart needs most practice."""
TRAINING_KIND_WEIGHTS = {kind: weight * EMPHASIS.get(kind, 1.0) for kind, weight in KIND_WEIGHTS.items()} | {"multi_color": 10.0}
"""Of what means several, one in twenty would name a colour."""


class ExpressionBatch(NamedTuple):
    """``K`` expressions over ``B`` scenes."""

    clip_image: Tensor
    sam_image: Tensor
    image: Tensor
    """int64 ``[K]``: which scene an expression belongs to."""
    ids: Tensor
    """int64 ``[K, T]``."""
    masks: Tensor
    """float ``[K, side, side]``: coverage by the union of the targets; all zero for "no target"."""
    boxes: Tensor
    """float ``[K, 4]``: cx, cy, w, h in 0..1 around all targets; zeros for "no target"."""
    has_target: Tensor
    """bool ``[K]``."""
    scenes: SceneBatch


def nothing_left_out(expression: Expression, scene_meta: SceneMeta) -> bool:
    """Everything that is drawn is asked."""
    del expression, scene_meta
    return False


class ExpressionSampler:
    """Draws scenes with expressions.

    Args:
        scenes: normal (not dense) training scenes.
        tokenizer: of the model.
        per_image: expressions drawn for each scene.
        weights: how often each kind of expression is drawn.
        leave_out: what is drawn and not asked, unless nothing else is left of a batch.
    """

    def __init__(
        self,
        scenes: SceneSampler,
        tokenizer: PhraseTokenizer,
        per_image: int,
        weights: Mapping[str, float] = KIND_WEIGHTS,
        leave_out: Callable[[Expression, SceneMeta], bool] = nothing_left_out,
    ) -> None:
        self._scenes, self._leave_out = scenes, leave_out
        self._tokenizer = tokenizer
        self._per_image = per_image
        self._weights = weights

    def batch(self, rng: np.random.Generator, size: int) -> ExpressionBatch:
        """``size`` scenes with up to ``per_image`` expressions each."""
        scenes = self._scenes.batch(rng, size, mirror=False)
        said = [
            (image, expression)
            for image, meta in enumerate(scenes.metas)
            for expression in sample_expressions(meta, rng, self._per_image, "train", self._weights)
        ]
        asked = [(image, expression) for image, expression in said if not self._leave_out(expression, scenes.metas[image])] or said
        masks = [np.isin(scenes.ids[image].numpy(), expression.targets) for image, expression in asked]
        stacked = np.stack(masks)
        boxes = np.stack([_relative_box(mask) for mask in masks])
        return ExpressionBatch(
            scenes.clip_image,
            scenes.sam_image,
            torch.tensor([image for image, _ in asked]),
            self._tokenizer([expression.text for _, expression in asked]),
            coverage(stacked),
            torch.from_numpy(boxes).float(),
            torch.from_numpy(stacked.any(axis=(1, 2))),
            scenes,
        )


def _relative_box(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    if not mask.any():
        return np.zeros(4)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    box: npt.NDArray[np.float64] = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]) / mask.shape[0]
    return box


class PromptStage:
    """The head and the text tower learn; the image encoders are frozen.

    So is SAM's mask decoder: where it learned along without clicks, it forgot them (IoU .75 to .68 within 370 steps), and with them the
    language of prompts that the head is to learn.

    Args:
        config: schedule.
        sampler: expressions.
        label_text: names and colours for the naming loss.
        kept_apart: bool ``[colours, classes]``, as of :class:`models.training.clip_stage.ClipStage`.
    """

    name = "prompt"
    text_rate = 0.3
    """On the rate of the head: the text tower has its names already."""

    def __init__(self, config: StageConfig, sampler: ExpressionSampler, label_text: LabelText, kept_apart: Tensor) -> None:
        self.config = config
        self.sampler = sampler
        self.label_text, self.kept_apart = label_text, kept_apart

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        return [(trainable_head(model), 1.0), (text_tower(model), self.text_rate)]

    def set_mode(self, model: SspSam) -> None:
        model.train()
        model.clip.visual.eval()
        model.sam.image_encoder.eval()

    def loss(self, model: SspSam, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = self.sampler.batch(rng, self.config.batch_size)
        return self.loss_on(model, self.encode(model, batch), batch, rng)

    def encode(self, model: SspSam, batch: ExpressionBatch) -> ImageFeatures:
        """The features of the batch's scenes, without gradients."""
        with torch.no_grad():
            return model.encode_images(batch.clip_image, batch.sam_image)

    def loss_on(
        self, model: SspSam, features: ImageFeatures, batch: ExpressionBatch, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss on scenes that are encoded already."""
        loss, figures = expression_loss(model, features, batch)
        # The naming loss of the first stage goes on, so that the text tower keeps its names while it learns sentences.
        label_ids = self.label_text.sample(rng)
        naming, naming_figures = patch_text_loss(model, features.clip_tokens[:, 1:], batch.scenes, label_ids, self.kept_apart)
        return loss + NAMING_WEIGHT * naming, {**figures, "name_accuracy": naming_figures["name_accuracy"]}


class JointStage(PromptStage):
    """Everything learns but CLIP's image tower, SAM's encoder slowly, with the click loss kept up.

    The tower has been trained longest. In a trial where it learned along, the share of patches that it named right fell from .67 to .52
    within sixty steps.

    Args:
        config: schedule.
        sampler: expressions.
        label_text: names and colours for the naming loss.
        kept_apart: bool ``[colours, classes]``, as of :class:`models.training.clip_stage.ClipStage`.
        clicks: the click stage, whose loss is added on its own prompts.
    """

    name = "joint"
    text_rate = 1.0
    encoder_rate = 0.7
    """On the rate of the rest: SAM's encoder has learned its part in the stage before."""

    def __init__(
        self, config: StageConfig, sampler: ExpressionSampler, label_text: LabelText, kept_apart: Tensor, clicks: SamStage
    ) -> None:
        super().__init__(config, sampler, label_text, kept_apart)
        self.clicks = clicks

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        prompt_encoder = [p for name, p in model.sam.prompt_encoder.named_parameters() if "mask_downscaling" not in name]
        decoder = [*model.sam.mask_decoder.parameters(), *prompt_encoder]
        encoder = list(model.sam.image_encoder.parameters())
        return [*super().parameter_groups(model), (decoder, 1.0), (encoder, self.encoder_rate)]

    def set_mode(self, model: SspSam) -> None:
        model.train()
        model.clip.visual.eval()

    def encode(self, model: SspSam, batch: ExpressionBatch) -> ImageFeatures:
        with torch.no_grad():
            clip_tokens = model.clip.encode_patches(batch.clip_image)
        return ImageFeatures(clip_tokens, encode_image(model.sam, batch.sam_image))

    def loss_on(
        self, model: SspSam, features: ImageFeatures, batch: ExpressionBatch, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        loss, figures = super().loss_on(model, features, batch, rng)
        click_loss, click_figures = self.clicks.loss_on(model, features.sam, batch.scenes.ids, rng)
        return loss + CLICK_WEIGHT * click_loss, {**figures, "click_iou": click_figures["mask_iou"]}


def text_tower(model: SspSam) -> list[nn.Parameter]:
    """CLIP's parameters outside the image tower."""
    return [parameter for name, parameter in model.clip.named_parameters() if not name.startswith("visual.")]


def expression_loss(model: SspSam, features: ImageFeatures, batch: ExpressionBatch) -> tuple[Tensor, dict[str, float]]:
    """Masks and boxes where there is a target; relevance and presence everywhere."""
    prediction = model.decode(features.select(batch.image), model.encode_phrases(batch.ids))
    if prediction.relevance is None or prediction.presence is None:
        raise ValueError(f"this loss needs relevance and presence; configuration {model.config.name!r} has them switched off")
    target = batch.has_target
    masks, figures = mask_loss(prediction.low_res_logits[target], prediction.predicted_iou[target], batch.masks[target])
    patch_share = coverage(batch.masks, model.config.clip.grid).flatten(1)
    relevance = relevance_loss(prediction.relevance, patch_share, target)
    earlier = sum((relevance_loss(one, patch_share, target) for one in prediction.earlier_relevance), relevance.new_zeros(()))
    presence = F.binary_cross_entropy_with_logits(prediction.presence, target.float())
    boxes = box_loss(prediction.box[target], batch.boxes[target])
    with torch.no_grad():
        right = (prediction.presence > 0).eq(target)
        pointed = prediction.relevance[target].argmax(dim=1, keepdim=True)
        pointing = patch_share[target].gather(1, pointed) > 0.5
    loss = masks + PRESENCE_WEIGHT * presence + BOX_WEIGHT * boxes
    loss = loss + RELEVANCE_WEIGHT * relevance + EARLIER_RELEVANCE_WEIGHT * earlier
    return loss, {
        **figures,
        "relevance_loss": relevance.item(),
        "pointing_accuracy": pointing.float().mean().item(),
        "presence_accuracy": right.float().mean().item(),
        "box_loss": boxes.item(),
    }


def relevance_loss(relevance: Tensor, patch_share: Tensor, has_target: Tensor) -> Tensor:
    """Every patch by itself, and all patches of a phrase against each other.

    Args:
        relevance: logits float ``[K, N]``.
        patch_share: how much of each patch the target covers, float ``[K, N]``; zeros for "no target".
        has_target: bool ``[K]``.
    """
    alone = object_bce(relevance, patch_share, SMALLEST_PATCH_AREA)
    return alone + pointing_loss(relevance[has_target], patch_share[has_target])
