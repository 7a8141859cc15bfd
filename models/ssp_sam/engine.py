"""SSP-SAM as an engine: NumPy outside, torch inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.answer import Answer
from models.embedding_cache import EmbeddingCache, Features, from_cache, image_digest, to_cache
from models.preprocess import Letterbox, clip_image, clip_letterbox, masks_to_image, sam_image, sam_letterbox
from models.ssp_sam.instances import split_instances
from models.ssp_sam.model import ImageFeatures, Prediction, SspSam
from models.ssp_sam.sam_masks import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    NOT_A_POINT,
    POINT_NEGATIVE,
    POINT_POSITIVE,
    SamFeatures,
    decode_masks,
    embed_prompts,
)
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.types import BoolMask, Box, RgbImage, Segment, check_rgb_image

DECODED_AT_ONCE = 32
"""Phrases, clicks or boxes decoded in one batch; bounds the memory of a request with hundreds of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """When a phrase counts as answered; chosen on calibration scenes, never on those that are reported."""

    presence: float = 0.5
    """Below this probability the phrase refers to nothing here. Ignored by networks without a presence head."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.presence <= 1.0:
            raise ValueError(f"Thresholds.presence is a probability, 0..1, found {self.presence}")


class SspSamEngine:
    """Answers phrases, clicks and boxes with one SSP-SAM network. Holds no state of any image: safe to share between threads.

    Args:
        model: the network; moved to ``device`` and put into evaluation mode.
        tokenizer: with the model's vocabulary.
        name: of the profile.
        version: of the weights; part of every cache key.
        device: where to compute.
        thresholds: when a phrase counts as answered.
        cache: of image features.
    """

    def __init__(
        self,
        model: SspSam,
        tokenizer: PhraseTokenizer,
        *,
        name: str,
        version: str,
        device: torch.device,
        thresholds: Thresholds,
        cache: EmbeddingCache,
    ) -> None:
        self._model = model.to(device).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._name = name
        self._version = version
        self._device = device
        self._thresholds = thresholds
        self._cache = cache

    @property
    def name(self) -> str:
        """See :class:`models.engine.Engine`."""
        return self._name

    @property
    def version(self) -> str:
        """See :class:`models.engine.Engine`."""
        return self._version

    def unknown_words(self, phrase: str) -> list[str]:
        """Words of the phrase that these weights never saw; they read as one "unknown" word."""
        return self._tokenizer.unknown_words(phrase)

    @torch.inference_mode()
    def segment(self, image: RgbImage, phrases: Sequence[str]) -> list[list[Segment]]:
        """See :meth:`models.engine.Engine.segment`."""
        return [answer.segments for answer in self._answers(image, phrases)]

    @torch.inference_mode()
    def segment_scored(self, image: RgbImage, phrases: Sequence[str]) -> list[Answer]:
        """See :meth:`models.answer.ScoredEngine.segment_scored`."""
        return list(self._answers(image, phrases))

    @torch.inference_mode()
    def segment_from_points(
        self, image: RgbImage, points: npt.NDArray[np.floating], is_positive: npt.NDArray[np.bool_], box: Box | None = None
    ) -> list[Segment]:
        """See :meth:`models.engine.Engine.segment_from_points`."""
        check_rgb_image(image)
        coordinates: npt.NDArray[np.float64] = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if len(coordinates) != len(is_positive):
            raise ValueError(f"each point needs one entry of is_positive, found {len(coordinates)} points and {len(is_positive)} entries")
        if len(coordinates) == 0 and box is None:
            raise ValueError("found neither a point nor a box; at least one of them must mark the object")
        labels = np.where(np.asarray(is_positive, dtype=bool), POINT_POSITIVE, POINT_NEGATIVE)
        if box is None:
            # As stock SAM does: without a box, a token that is no point follows.
            coordinates, labels = np.vstack([coordinates, [[0, 0]]]), np.append(labels, NOT_A_POINT)
        else:
            corners = np.array(box, dtype=np.float64).reshape(2, 2)
            coordinates, labels = np.vstack([coordinates, corners]), np.append(labels, [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])
        return [s for s in self._from_prompts(image, coordinates[np.newaxis], labels[np.newaxis]) if s is not None]

    @torch.inference_mode()
    def segment_from_boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        """See :meth:`models.engine.Engine.segment_from_boxes`."""
        check_rgb_image(image)
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2)
        if len(corners) == 0:
            return []
        labels = np.tile([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], (len(corners), 1))
        return self._from_prompts(image, corners, labels)

    def _answers(self, image: RgbImage, phrases: Sequence[str]) -> Iterator[Answer]:
        """One phrase after the other: a mask at full resolution is large, a hundred of them are too large."""
        check_rgb_image(image)
        if not phrases:
            return
        features = self._image_features(image)
        for start in range(0, len(phrases), DECODED_AT_ONCE):
            yield from self._answer_batch(image, features, phrases[start : start + DECODED_AT_ONCE])

    def _answer_batch(self, image: RgbImage, features: ImageFeatures, phrases: Sequence[str]) -> Iterator[Answer]:
        text = self._model.encode_phrases(self._tokenizer(phrases).to(self._device))
        prediction = self._model.decode(features.repeat(len(phrases)), text)
        presence = self._presence(prediction)
        for row, (phrase, quality) in enumerate(zip(phrases, prediction.predicted_iou, strict=True)):
            yield self._answer(image, features.sam, phrase, prediction.low_res_logits[row], float(presence[row]), float(quality))

    def _image_features(self, image: RgbImage) -> ImageFeatures:
        key = f"{self._version}-{image_digest(image)}"
        return _unpack(from_cache(self._cache.get(key, lambda: to_cache(self._encode(image))), self._device))

    def _encode(self, image: RgbImage) -> Features:
        config = self._model.config
        for_clip = clip_image(image, clip_letterbox((image.shape[0], image.shape[1]), config.clip.image_size, config.clip.letterbox))
        for_sam = sam_image(image, self._sam_letterbox(image))
        return _pack(self._model.encode_images(for_clip[None].to(self._device), for_sam[None].to(self._device)))

    def _sam_letterbox(self, image: RgbImage) -> Letterbox:
        return sam_letterbox((image.shape[0], image.shape[1]), self._model.config.sam.image_size)

    def _presence(self, prediction: Prediction) -> Tensor:
        if prediction.presence is not None:
            return prediction.presence.sigmoid()
        # The published networks tell emptiness by the size of the mask alone (spec 4.7).
        pixels = (self._model.mask_logits(prediction.low_res_logits) >= 0).sum(dim=(1, 2))
        return (pixels >= self._model.config.empty_mask_pixels).float()

    def _answer(
        self, image: RgbImage, features: SamFeatures, phrase: str, low_res_logits: Tensor, presence: float, quality: float
    ) -> Answer:
        letterbox = self._sam_letterbox(image)
        mask = _to_mask(low_res_logits, letterbox)
        segments = []
        if presence >= self._thresholds.presence:
            score = presence * min(max(quality, 0.0), 1.0)
            canvas_to_image = image.shape[0] * image.shape[1] / math.prod(letterbox.resized_hw)
            smallest = self._model.config.empty_mask_pixels * 4 * canvas_to_image
            parts = split_instances(mask, lambda clicks: self._clicked(features, letterbox, clicks), min_area=smallest)
            segments = [Segment(phrase, part, score) for part in parts]
        return Answer(mask, presence, segments)

    def _clicked(self, features: SamFeatures, letterbox: Letterbox, clicks: npt.NDArray[np.float64]) -> Iterator[BoolMask]:
        points = np.stack([clicks, np.zeros_like(clicks)], axis=1)
        labels = np.tile([POINT_POSITIVE, NOT_A_POINT], (len(clicks), 1))
        for low_res, _ in self._decode_prompts(features, letterbox, points, labels):
            yield _to_mask(low_res, letterbox)

    def _from_prompts(self, image: RgbImage, points: npt.NDArray[np.float64], labels: npt.NDArray[np.integer]) -> list[Segment | None]:
        letterbox = self._sam_letterbox(image)
        segments: list[Segment | None] = []
        for low_res, guess in self._decode_prompts(self._image_features(image).sam, letterbox, points, labels):
            mask = _to_mask(low_res, letterbox)
            segments.append(Segment("", mask, float(guess.clamp(0, 1))) if mask.any() else None)
        return segments

    def _decode_prompts(
        self, features: SamFeatures, letterbox: Letterbox, points: npt.NDArray[np.float64], labels: npt.NDArray[np.integer]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Prompts in pixels of the image, ``[K, n, 2]`` and ``[K, n]`` -> low-resolution logits and predicted IoU of each."""
        scale = np.array(letterbox.resized_hw[::-1]) / np.array(letterbox.original_hw[::-1])
        coordinates = torch.from_numpy(points * scale).float().to(self._device)
        kinds = torch.from_numpy(labels).long().to(self._device)
        for start in range(0, len(points), DECODED_AT_ONCE):
            batch = slice(start, start + DECODED_AT_ONCE)
            sparse = embed_prompts(self._model.sam, coordinates[batch], kinds[batch])
            yield from zip(*decode_masks(self._model.sam, features.repeat(len(sparse)), sparse), strict=True)


def _to_mask(low_res_logits: Tensor, letterbox: Letterbox) -> BoolMask:
    """float ``[4G, 4G]`` -> bool ``[H, W]`` of the original image."""
    mask: BoolMask = (masks_to_image(low_res_logits[None], letterbox)[0] >= 0).cpu().numpy()
    return mask


def _pack(features: ImageFeatures) -> Features:
    parts: dict[str, Any] = {"clip_tokens": features.clip_tokens, **features.sam._asdict()}
    return {name: part for name, part in parts.items() if part is not None}


def _unpack(parts: Features) -> ImageFeatures:
    return ImageFeatures(parts["clip_tokens"], SamFeatures(parts["embedding"], parts.get("skip8"), parts.get("skip4")))
