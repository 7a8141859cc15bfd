"""SSP-SAM as an engine: NumPy outside, torch inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.answer import Answer, Evidence, Judged
from models.devices import Compute, choose_dtype
from models.doubt import answer_doubt, map_entropy, mask_stability
from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.out_of_memory import memory_errors_told, run_in_parts
from models.phrase_parts import parts_of
from models.preprocess import Letterbox, masks_to_image, sam_letterbox
from models.ssp_sam.image_side import ImageSide
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


class _Decoded(NamedTuple):
    """The network's answer to one phrase."""

    low_res_logits: Tensor
    """float ``[4G, 4G]``."""
    presence: float
    predicted_iou: float
    relevance: Tensor | None
    """float ``[N]`` logits of the patches, where the network has them."""


class _Read(NamedTuple):
    """A phrase, or a part of one, as far as it was answered."""

    answer: Answer
    decoded: _Decoded


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
        options: how to compute.
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
        options: EngineOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._compute = Compute(device, choose_dtype(options.precision, device))
        self._model = model.to(device).eval().requires_grad_(False)
        for encoder in (self._model.clip.visual, self._model.sam.image_encoder):
            self._compute.reduce(encoder)
        self._images = ImageSide(self._model, version=version, compute=self._compute, cache=cache, options=options)
        self._tokenizer = tokenizer
        self._name = name
        self._version = version
        self._thresholds = thresholds
        self.cache = cache

    def networks(self) -> dict[str, nn.Module]:
        """What answers, each network by the prefix of its tensors' names in a weights file."""
        return {"": self._model}

    @property
    def name(self) -> str:
        """See :class:`models.engine.Engine`."""
        return self._name

    @property
    def version(self) -> str:
        """See :class:`models.engine.Engine`."""
        return self._version

    @property
    def placement(self) -> dict[str, str]:
        """See :class:`models.engine.PlacedEngine`."""
        return {"device": str(self._compute.device), "precision": str(self._compute.dtype).removeprefix("torch.")}

    def unknown_words(self, phrase: str) -> list[str]:
        """Words of the phrase that these weights never saw; they read as one "unknown" word."""
        return self._tokenizer.unknown_words(phrase)

    def segment(self, image: RgbImage, phrases: Sequence[str]) -> list[list[Segment]]:
        """See :meth:`models.engine.Engine.segment`."""
        with self._answering():
            return [answer.segments for answer, _ in self._answers(image, phrases)]

    def segment_scored(self, image: RgbImage, phrases: Sequence[str]) -> list[Answer]:
        """See :meth:`models.answer.ScoredEngine.segment_scored`."""
        with self._answering():
            return [answer for answer, _ in self._answers(image, phrases)]

    def segment_judged(self, image: RgbImage, phrases: Sequence[str]) -> list[Judged]:
        """See :meth:`models.answer.JudgingEngine.segment_judged`."""
        with self._answering():
            return [Judged(answer.segments, _evidence(parts)) for answer, parts in self._answers(image, phrases)]

    def describe(self, image: RgbImage) -> npt.NDArray[np.float32]:
        """See :meth:`models.image_vectors.DescribingEngine.describe`: the mean of CLIP's patches."""
        check_rgb_image(image)
        with self._answering():
            vector = self._images.clip_tokens(image)[0, 1:].float().mean(dim=0)
            return F.normalize(vector, dim=0).cpu().numpy()

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
        with self._answering():
            return [s for s in self._from_prompts(image, coordinates[np.newaxis], labels[np.newaxis]) if s is not None]

    def segment_from_boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        """See :meth:`models.engine.Engine.segment_from_boxes`."""
        check_rgb_image(image)
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2)
        if len(corners) == 0:
            return []
        labels = np.tile([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], (len(corners), 1))
        with self._answering():
            return self._from_prompts(image, corners, labels)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What surrounds every answer: no gradients, and one clear error when memory runs out."""
        with torch.inference_mode(), memory_errors_told(self._compute.release):
            yield

    def _answers(self, image: RgbImage, phrases: Sequence[str]) -> Iterator[tuple[Answer, list[_Read]]]:
        """The answer to each phrase, and those to its parts."""
        check_rgb_image(image)
        if not phrases:
            return
        parts_of_each = [parts_of(phrase) if self._model.config.reads_parts else (phrase,) for phrase in phrases]
        read = self._read(image, list(chain.from_iterable(parts_of_each)))
        for phrase, parts in zip(phrases, parts_of_each, strict=True):
            found = list(islice(read, len(parts)))
            yield found[0].answer if len(found) == 1 else Answer.of_parts(phrase, [one.answer for one in found]), found

    def _read(self, image: RgbImage, phrases: Sequence[str]) -> Iterator[_Read]:
        """One phrase after the other: a mask at full resolution is large, a hundred of them are too large."""
        features = self._images.features(image)
        for start in range(0, len(phrases), DECODED_AT_ONCE):
            batch = phrases[start : start + DECODED_AT_ONCE]
            decoded = run_in_parts(lambda part: self._decode_phrases(features, part), batch, release=self._compute.release)
            for phrase, one in zip(batch, decoded, strict=True):
                yield _Read(self._answer(image, features.sam, phrase, one), one)

    def _decode_phrases(self, features: ImageFeatures, phrases: Sequence[str]) -> list[_Decoded]:
        with self._compute.autocast():
            text = self._model.encode_phrases(self._compute.upload(self._tokenizer(phrases)))
            prediction = self._model.decode(features.repeat(len(phrases)), text)
        presence, qualities = self._presence(prediction).tolist(), prediction.predicted_iou.clamp(0, 1).tolist()
        relevances = [None] * len(phrases) if prediction.relevance is None else prediction.relevance
        return list(map(_Decoded, prediction.low_res_logits, presence, qualities, relevances))

    def _sam_letterbox(self, image: RgbImage) -> Letterbox:
        return sam_letterbox((image.shape[0], image.shape[1]), self._model.config.sam.image_size)

    def _presence(self, prediction: Prediction) -> Tensor:
        if prediction.presence is not None:
            return prediction.presence.sigmoid()
        # The published networks tell emptiness by the size of the mask alone (spec 4.7).
        pixels = (self._model.mask_logits(prediction.low_res_logits) >= 0).sum(dim=(1, 2))
        return (pixels >= self._model.config.empty_mask_pixels).float()

    def _answer(self, image: RgbImage, features: SamFeatures, phrase: str, decoded: _Decoded) -> Answer:
        letterbox = self._sam_letterbox(image)
        mask = _to_mask(decoded.low_res_logits, letterbox)
        segments = []
        if decoded.presence >= self._thresholds.presence:
            score = decoded.presence * decoded.predicted_iou
            canvas_to_image = image.shape[0] * image.shape[1] / math.prod(letterbox.resized_hw)
            smallest = self._model.config.empty_mask_pixels * 4 * canvas_to_image
            parts = split_instances(mask, lambda clicks: self._clicked(features, letterbox, clicks), min_area=smallest)
            segments = [Segment(phrase, part, score) for part in parts]
        return Answer(mask, decoded.presence, segments)

    def _clicked(self, features: SamFeatures, letterbox: Letterbox, clicks: npt.NDArray[np.float64]) -> Iterator[BoolMask]:
        points = np.stack([clicks, np.zeros_like(clicks)], axis=1)
        labels = np.tile([POINT_POSITIVE, NOT_A_POINT], (len(clicks), 1))
        for low_res, _ in self._decode_prompts(features, letterbox, points, labels):
            yield _to_mask(low_res, letterbox)

    def _from_prompts(self, image: RgbImage, points: npt.NDArray[np.float64], labels: npt.NDArray[np.integer]) -> list[Segment | None]:
        letterbox = self._sam_letterbox(image)
        segments: list[Segment | None] = []
        for low_res, guess in self._decode_prompts(self._images.sam_features(image), letterbox, points, labels):
            mask = _to_mask(low_res, letterbox)
            segments.append(Segment("", mask, float(guess.clamp(0, 1))) if mask.any() else None)
        return segments

    def _decode_prompts(
        self, features: SamFeatures, letterbox: Letterbox, points: npt.NDArray[np.float64], labels: npt.NDArray[np.integer]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Prompts in pixels of the image, ``[K, n, 2]`` and ``[K, n]`` -> low-resolution logits and predicted IoU of each."""
        scale = np.array(letterbox.resized_hw[::-1]) / np.array(letterbox.original_hw[::-1])
        prompts = list(zip(torch.from_numpy(points * scale).float(), torch.from_numpy(labels).long(), strict=True))
        for start in range(0, len(prompts), DECODED_AT_ONCE):
            batch = prompts[start : start + DECODED_AT_ONCE]
            yield from run_in_parts(lambda part: self._decode_sparse(features, part), batch, release=self._compute.release)

    def _decode_sparse(self, features: SamFeatures, prompts: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Low-resolution logits and predicted IoU of each prompt, coordinates ``[n, 2]`` on SAM's canvas and labels ``[n]``."""
        coordinates, kinds = (self._compute.upload(torch.stack(part)) for part in zip(*prompts, strict=True))
        with self._compute.autocast():
            repeated = features.repeat(len(coordinates))
            sparse = embed_prompts(self._model.sam, repeated, coordinates, kinds)
            logits, guesses = decode_masks(self._model.sam, repeated, sparse)
        return list(zip(logits.float(), guesses.float(), strict=True))


def _evidence(parts: Sequence[_Read]) -> Evidence:
    """That of the part which a person would have to correct most."""
    return max((_evidence_of(answer, decoded) for answer, decoded in parts), key=answer_doubt)


def _evidence_of(answer: Answer, decoded: _Decoded) -> Evidence:
    relevance = None if decoded.relevance is None else map_entropy(decoded.relevance.sigmoid().cpu().numpy())
    stability = mask_stability(decoded.low_res_logits.cpu().numpy())
    return Evidence(bool(answer.segments), decoded.presence, decoded.predicted_iou, stability, relevance)


def _to_mask(low_res_logits: Tensor, letterbox: Letterbox) -> BoolMask:
    """float ``[4G, 4G]`` -> bool ``[H, W]`` of the original image."""
    mask: BoolMask = (masks_to_image(low_res_logits[None], letterbox)[0] >= 0).cpu().numpy()
    return mask
