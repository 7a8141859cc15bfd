"""Everything of SSP-SAM that depends on the image alone: CLIP's features and SAM's, each encoded only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models.devices import Compute
from models.digests import image_digest
from models.embedding_cache import EmbeddingCache, Features
from models.engine_options import EngineOptions
from models.preprocess import clip_image, clip_letterbox, sam_image, sam_letterbox
from models.ssp_sam.image_encoding import ImageEncoding
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.sam_masks import SamFeatures, encode_image
from models.types import RgbImage


class ImageSide:
    """The image encoders. A click needs no CLIP, and a list of labels may read the image with other blocks of it.

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
        self._compute, self._cache, self._options = compute, cache, options
        # Features of another precision are other features, also on disk.
        self._key = f"{version}-{str(compute.dtype).removeprefix('torch.')}" if compute.is_reduced else version
        if options.compiled:
            self._compile()
        self.clip = self._encoding("clip", self._for_clip, lambda canvas: {"clip_tokens": model.clip.encode_patches(canvas)})
        self.sam = self._encoding("sam", self._for_sam, lambda canvas: _present(encode_image(model.sam, canvas)))

    def features(self, image: RgbImage) -> ImageFeatures:
        """Features of one image uint8 ``[H, W, 3]``, on the device."""
        digest = image_digest(image)
        return ImageFeatures(self.clip(image, digest)["clip_tokens"], SamFeatures(**self.sam(image, digest)))

    def sam_features(self, image: RgbImage) -> SamFeatures:
        """What SAM alone knows of an image uint8 ``[H, W, 3]``, on the device."""
        return SamFeatures(**self.sam(image, image_digest(image)))

    def clip_tokens(self, image: RgbImage) -> Tensor:
        """What CLIP alone sees in an image uint8 ``[H, W, 3]``: float ``[1, 1 + N, E]``, on the device."""
        return self.clip(image, image_digest(image))["clip_tokens"]

    def _encoding(self, name: str, prepare: Callable[[RgbImage], Tensor], encode: Callable[[Tensor], Features]) -> ImageEncoding:
        return ImageEncoding(f"{self._key}-{name}", prepare, encode, compute=self._compute, cache=self._cache, options=self._options)

    def _for_clip(self, image: RgbImage) -> Tensor:
        """Resized, normalised and padded for CLIP, float ``[3, S, S]``."""
        config = self._model.config.clip
        return clip_image(image, clip_letterbox((image.shape[0], image.shape[1]), config.image_size, config.letterbox))

    def _for_sam(self, image: RgbImage) -> Tensor:
        """The same for SAM."""
        return sam_image(image, sam_letterbox((image.shape[0], image.shape[1]), self._model.config.sam.image_size))

    def _compile(self) -> None:
        self._model.sam.image_encoder.compile_blocks()
        canvas = self._for_sam(np.zeros((1, 1, 3), np.uint8))
        try:
            with torch.inference_mode(), self._compute.autocast():
                encode_image(self._model.sam, self._compute.upload(canvas[None]))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"SAM's image encoder cannot be compiled here ({reason}); switch compilation off") from error


def _present(features: SamFeatures) -> Features:
    return {name: part for name, part in features._asdict().items() if part is not None}
