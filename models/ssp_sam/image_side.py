"""From images to their features: prepared by each caller, encoded in batches that concurrent callers share, kept by content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.devices import Compute
from models.digests import image_digest
from models.embedding_cache import EmbeddingCache, Features
from models.engine_options import EngineOptions
from models.micro_batching import MicroBatcher
from models.out_of_memory import run_in_parts
from models.preprocess import clip_image, clip_letterbox, sam_image, sam_letterbox
from models.ssp_sam.clip_surgery import PatchBlocks
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.sam_masks import SamFeatures
from models.types import RgbImage

Prepared = tuple[Tensor, Tensor]
"""One image for CLIP and for SAM, float ``[3, S, S]`` each, in main memory."""


class ImageSide:
    """Everything of SSP-SAM that depends on the image alone. Safe to share between threads.

    Args:
        model: the network, in place on the device and in evaluation mode.
        version: of the weights; part of every cache key.
        compute: device and type of the products.
        cache: of image features.
        options: how concurrent calls share batches, and whether SAM's encoder is compiled (now, so that no call waits for it).

    Raises:
        ValueError: it cannot be compiled here.
    """

    def __init__(self, model: SspSam, *, version: str, compute: Compute, cache: EmbeddingCache, options: EngineOptions) -> None:
        self._model = model
        self._compute = compute
        self._cache = cache
        # Features of another precision are other features, also on disk.
        self._key = f"{version}-{str(compute.dtype).removeprefix('torch.')}" if compute.is_reduced else version
        if options.compiled:
            self._compile()
        largest = options.images_at_once(compute.device.type)
        self._shared = MicroBatcher(self.encode, largest=largest, wait_seconds=options.micro_batch_wait_seconds) if largest > 1 else None

    def features(self, image: RgbImage) -> ImageFeatures:
        """Features of one image uint8 ``[H, W, 3]``, on the device. Threads that ask for one image at once have it encoded once."""
        known = self._cache.get(f"{self._key}-{image_digest(image)}", lambda: self._make(image))
        return _unpack({name: self._compute.upload(part) for name, part in known.items()})

    def clip_tokens(self, image: RgbImage, blocks: PatchBlocks, name: str) -> Tensor:
        """What other blocks of CLIP's image tower see in an image: float ``[1, 1 + N, E]``, kept like the features.

        Args:
            image: uint8 ``[H, W, 3]``.
            blocks: in place on the device.
            name: of these blocks, for the cache.
        """

        def make() -> Features:
            for_clip, _ = self.prepare(image)
            with torch.inference_mode(), self._compute.autocast():
                return {"clip_tokens": blocks.encode_behind(self._model.clip, self._compute.upload(for_clip[None])).cpu()}

        known = self._cache.get(f"{self._key}-{name}-{image_digest(image)}", make)
        return self._compute.upload(known["clip_tokens"])

    def prepare(self, image: RgbImage) -> Prepared:
        """Resize, normalise and pad for both encoders; uint8 ``[H, W, 3]``."""
        clip, sam, size_hw = self._model.config.clip, self._model.config.sam, (image.shape[0], image.shape[1])
        for_clip = clip_image(image, clip_letterbox(size_hw, clip.image_size, clip.letterbox))
        return for_clip, sam_image(image, sam_letterbox(size_hw, sam.image_size))

    def encode(self, images: Sequence[Prepared]) -> list[Features]:
        """Features of each image, in main memory; in smaller batches when memory runs out."""
        return list(run_in_parts(self._encode_batch, images, release=self._compute.release))

    def _compile(self) -> None:
        self._model.sam.image_encoder.compile_blocks()
        try:
            self._encode_batch([self.prepare(np.zeros((1, 1, 3), np.uint8))])
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"SAM's image encoder cannot be compiled here ({reason}); switch compilation off") from error

    def _make(self, image: RgbImage) -> Features:
        if self._shared is not None:
            return self._shared(lambda: self.prepare(image))
        return self.encode([self.prepare(image)])[0]

    def _encode_batch(self, images: Sequence[Prepared]) -> list[Features]:
        for_clip, for_sam = (self._compute.upload(torch.stack(part)) for part in zip(*images, strict=True))
        with torch.inference_mode(), self._compute.autocast():
            features = self._model.encode_images(for_clip, for_sam)
        return list(_split(features))


def _split(features: ImageFeatures) -> Iterator[Features]:
    """Features of B images -> one by one, as copies in main memory that do not keep the batch alive."""
    parts: dict[str, Any] = {"clip_tokens": features.clip_tokens, **features.sam._asdict()}
    for image in range(len(features.clip_tokens)):
        yield {name: part[image : image + 1].to("cpu", copy=True) for name, part in parts.items() if part is not None}


def _unpack(parts: Features) -> ImageFeatures:
    return ImageFeatures(parts["clip_tokens"], SamFeatures(parts["embedding"], parts.get("skip8"), parts.get("skip4")))
