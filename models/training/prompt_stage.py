"""The stages in which the head turns phrases into prompts: on frozen encoders, with everything together, alone, and with SAM."""

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
"""The naming loss of the first stage goes on, so that the text tower keeps its names while it learns sentences."""
CLICK_WEIGHT = 1.0
"""The click loss of the second stage goes on in the joint stage, so that the decoder keeps its clicks and boxes."""
HARD_KINDS = {"size": 2.5, "spatial": 1.5, "relation": 1.2}
"""How much more often the joint stage draws these kinds than the reported splits do: names are learned long before comparisons are."""
JOINT_KIND_WEIGHTS = {kind: weight * HARD_KINDS.get(kind, 1.0) for kind, weight in KIND_WEIGHTS.items()}
LAST_KINDS = {"multi": 2.5, "name": 2.0, "size": 1.5, "ordinal": 0.5, "color": 1.3, "name_color": 1.5, "category": 1.5}
"""The same for later stages, in which the head reads better names."""
LAST_KIND_WEIGHTS = {kind: weight * LAST_KINDS.get(kind, 1.0) for kind, weight in KIND_WEIGHTS.items()} | {"multi/joined": 4.0}
"""Only one in twenty of the kind ``multi`` would name a colour."""
GROUPS_KIND_WEIGHTS = LAST_KIND_WEIGHTS | {"multi/joined": 12.0}
"""Two colours at once are what is found least of all that means several, those of one colour if training never joined it to the name."""
SEVERAL_KIND_WEIGHTS = LAST_KIND_WEIGHTS | {"multi": 2 * LAST_KIND_WEIGHTS["multi"], "multi/joined": 6.0}
"""Whatever means several, most often."""
SETTLE_KIND_WEIGHTS = LAST_KIND_WEIGHTS | {
    "color": 2 * LAST_KIND_WEIGHTS["color"], "name_color": 1.3 * LAST_KIND_WEIGHTS["name_color"], "multi/joined": 16.0,
    "multi/joined_twice": 0.0,
}  # fmt: skip
"""Colours that tell things of one name apart, most often; two groups at once never, as the engine asks for each by itself."""


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


class HeadStage:
    """The head alone learns. Images and words are read as before, so what else reads them, SAM-MI, need not learn anew.

    SAM's mask decoder is frozen, too: where it learned along without clicks, it forgot them (IoU .75 to .68 within 370 steps), and with
    them the language of prompts that the head is to learn.

    Args:
        config: schedule.
        sampler: expressions.
        name: of the stage; its log and its random numbers go by it.
    """

    def __init__(self, config: StageConfig, sampler: ExpressionSampler, name: str = "head") -> None:
        self.config, self.name = config, name
        self.sampler = sampler

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        return [(trainable_head(model), 1.0)]

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
        return expression_loss(model, features, batch)


class PromptStage(HeadStage):
    """The head and the text tower learn; the image encoders are frozen.

    Args:
        config: schedule.
        sampler: expressions.
        label_text: names and colours for the naming loss.
    """

    def __init__(self, config: StageConfig, sampler: ExpressionSampler, label_text: LabelText) -> None:
        super().__init__(config, sampler, "prompt")
        self.label_text = label_text

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        return [(trainable_head(model), 1.0), (text_tower(model), 0.3)]

    def loss_on(
        self, model: SspSam, features: ImageFeatures, batch: ExpressionBatch, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        loss, figures = super().loss_on(model, features, batch, rng)
        naming, naming_figures = naming_side_loss(model, features, batch, self.label_text, rng)
        return loss + naming, {**figures, **naming_figures}


class LastStage(HeadStage):
    """The head and SAM learn, its encoder slowly, with the click loss kept up; what reads names stays as it is.

    Args:
        config: schedule.
        sampler: expressions.
        clicks: the click stage, whose loss is added on its own (smaller) batch.
        name: of the stage; its log and its random numbers go by it.
    """

    encoder_rate = 0.5
    """On the rate of the rest: SAM's encoder has learned its part in the stage before."""

    def __init__(self, config: StageConfig, sampler: ExpressionSampler, clicks: SamStage, name: str = "last") -> None:
        super().__init__(config, sampler, name)
        self.clicks = clicks

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        prompt_encoder = [p for name, p in model.sam.prompt_encoder.named_parameters() if "mask_downscaling" not in name]
        rest = [*trainable_head(model), *model.sam.mask_decoder.parameters(), *prompt_encoder]
        return [(rest, 1.0), (list(model.sam.image_encoder.parameters()), self.encoder_rate)]

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


class JointStage(LastStage):
    """Everything learns but CLIP's image tower.

    The tower has been trained longest. In a trial where it learned along, the share of patches that it named right fell from .67 to .52
    within sixty steps.

    Args:
        config: schedule.
        sampler: expressions.
        label_text: names and colours for the naming loss.
        clicks: the click stage.
    """

    encoder_rate = 0.7

    def __init__(self, config: StageConfig, sampler: ExpressionSampler, label_text: LabelText, clicks: SamStage) -> None:
        super().__init__(config, sampler, clicks, name="joint")
        self.label_text = label_text

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        return [*super().parameter_groups(model), (text_tower(model), 1.0)]

    def loss_on(
        self, model: SspSam, features: ImageFeatures, batch: ExpressionBatch, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        loss, figures = super().loss_on(model, features, batch, rng)
        naming, naming_figures = naming_side_loss(model, features, batch, self.label_text, rng)
        return loss + naming, {**figures, **naming_figures}


def naming_side_loss(
    model: SspSam, features: ImageFeatures, batch: ExpressionBatch, label_text: LabelText, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """The weighted naming loss of the first stage, for stages in which the text tower learns sentences."""
    loss, figures = patch_text_loss(model, features.clip_tokens[:, 1:], batch.scenes, label_text.sample(rng))
    return NAMING_WEIGHT * loss, {"name_accuracy": figures["name_accuracy"]}


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
