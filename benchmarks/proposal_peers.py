"""What a list of labels is answered with elsewhere, made of the very same weights: a dense grid of points with a vote, and boxes for SAM.

The words' map of cosines grounds the labels in all of them: they differ in how they ask SAM and in what they make of its masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from torch import Tensor

from models.proposals import EVERYTHING
from models.sam_mi.canvas import cells_to_image
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.pixels import label_map
from models.sam_mi.proposer import Frames, Look
from models.sam_mi.question import ask
from models.semantic_metrics import LabelMap
from models.ssp_sam.sam_masks import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    NOT_A_POINT,
    StemmedImageEncoder,
    decode_tokens,
    embed_prompts,
    encode_image,
)
from models.types import RgbImage

GRID_SIDE = 32
"""Of the stock generator."""


class Answer(NamedTuple):
    """What a pipeline says of one image."""

    label_map: LabelMap
    prompts: int
    """Points or boxes that SAM was asked with."""
    encodings: int
    """How often SAM's image encoder ran."""


class SkipPredictor(SamPredictor):  # type: ignore[misc]  # published without types
    """The stock predictor for a SAM whose stem also feeds the mask decoder, and whose trained masks are those of ``tokens``.

    Args:
        model: the SAM.
        tokens: of which masks several are wanted.
    """

    def __init__(self, model: Any, tokens: tuple[int, ...]) -> None:
        super().__init__(model)
        self.tokens = tokens

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, ...]) -> None:
        self.reset_image()
        self.original_size, self.input_size = original_image_size, tuple(transformed_image.shape[-2:])
        self.features = encode_image(self.model, self.model.preprocess(transformed_image))
        self.is_image_set = True

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        if boxes is not None:
            prompts, kinds = boxes.reshape(-1, 2, 2), torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])
        else:
            assert point_coords is not None
            prompts = torch.cat([point_coords, torch.zeros_like(point_coords)], dim=1)
            kinds = torch.tensor([[1, NOT_A_POINT]])
        features = self.features.repeat(len(prompts))
        sparse = embed_prompts(self.model, features, prompts.float(), kinds.expand(len(prompts), -1))
        tokens = self.tokens if multimask_output else (0,)
        low_res, quality = decode_tokens(self.model, features, sparse, tokens)
        masks = self.model.postprocess_masks(low_res, self.input_size, self.original_size)
        return masks if return_logits else masks > self.model.mask_threshold, quality, low_res


class Parts:
    """The parts of an engine, one by one.

    Args:
        engine: with a cache of no size, so that every image is encoded.
    """

    def __init__(self, engine: SamMiEngine) -> None:
        self.engine = engine
        self.model, self.proposer = engine._model, engine._proposer
        sam, tokens = self.model.sam, self.proposer.preset.mask_tokens
        is_stock = not isinstance(sam.image_encoder, StemmedImageEncoder)
        self.predictor = SamPredictor(sam) if is_stock else SkipPredictor(sam, tokens)

    def look(self, image: RgbImage, labels: Sequence[str]) -> tuple[Look, Frames]:
        """What the words see: CLIP's image encoder, and the map of cosines."""
        frames = Frames.of((image.shape[0], image.shape[1]), self.model.config)
        clip = self.engine._images.clip
        tokens = clip.encode([clip.prepare(image)])[0]["clip_tokens"]
        question = ask(labels, self.proposer.preset.background_words, EVERYTHING.stuff)
        return self.proposer.look(tokens, frames, question), frames

    def grid_and_vote(self, image: RgbImage, labels: Sequence[str], *, own_thresholds: bool = False) -> Answer:
        """SAM's automatic masks; the words' majority inside a mask decides it as a whole, smaller masks over larger ones.

        Args:
            image: uint8 ``[H, W, 3]``.
            labels: what is asked for.
            own_thresholds: those of the package instead of those that belong to the weights.
        """
        look, frames = self.look(image, labels)
        preset = self.proposer.preset
        thresholds = {} if own_thresholds else {"pred_iou_thresh": preset.mask_iou, "stability_score_thresh": preset.stability}
        generator = SamAutomaticMaskGenerator(self.model.sam, points_per_side=GRID_SIDE, **thresholds)
        generator.predictor = self.predictor
        words = label_map(look.words, look.question.place, frames.clip)
        found = words.copy()
        for one in sorted(generator.generate(image), key=lambda one: -one["area"]):
            mask = one["segmentation"]
            found[mask] = np.bincount(words[mask]).argmax()
        return Answer(found, GRID_SIDE**2, 1)

    def boxes(self, image: RgbImage, labels: Sequence[str], *, per_label: bool = True) -> Answer:
        """A box around every region of a label, SAM's mask of every box; what no mask covers is background.

        Args:
            image: uint8 ``[H, W, 3]``.
            labels: what is asked for.
            per_label: every label that shows is a request of its own, with all encoders, as the official example works.
        """
        look, frames = self.look(image, labels)
        confidence = np.zeros(image.shape[:2], np.float32)
        found = np.zeros(image.shape[:2], np.int32)
        prompts = encodings = 0
        for label in sorted({region.label for region in look.regions}):
            if per_label and encodings:
                self.look(image, [look.question.names[label]])
            if per_label or not encodings:
                self.predictor.set_image(image)
                encodings += 1
            own = [region for region in look.regions if region.label == label]
            boxes = torch.from_numpy(np.array([_box(region.cells, frames) for region in own]))
            scaled = self.predictor.transform.apply_boxes_torch(boxes, image.shape[:2])
            masks, quality, _ = self.predictor.predict_torch(None, None, boxes=scaled, multimask_output=False)
            prompts += len(own)
            for region, mask, guess in zip(own, masks[:, 0].numpy(), quality[:, 0].tolist(), strict=True):
                wins = mask & (region.confidence * guess > confidence)
                confidence[wins] = region.confidence * guess
                found[wins] = look.question.place[label] + 1
        return Answer(found, prompts, encodings)


def _box(cells: Any, frames: Frames) -> tuple[float, float, float, float]:
    """Around cells bool ``[n, n]`` over CLIP's canvas, in pixels of the image."""
    rows, columns = np.nonzero(cells)
    # Corners, not centres: half a cell outwards.
    corners = np.array([[columns.min() - 0.5, rows.min() - 0.5], [columns.max() + 0.5, rows.max() + 0.5]])
    (left, top), (right, bottom) = cells_to_image(corners, frames.clip, len(cells))
    return left, top, right, bottom
