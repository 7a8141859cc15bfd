"""One encoder of images: prepared by each caller, run on batches that concurrent callers share, kept by content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from models.devices import Compute
from models.embedding_cache import EmbeddingCache, Features
from models.engine_options import EngineOptions
from models.micro_batching import MicroBatcher
from models.out_of_memory import run_in_parts
from models.types import RgbImage


class ImageEncoding:
    """Gives the features of images. Safe to share between threads.

    Args:
        key: names encoder, weights and precision; part of every cache key.
        prepare: image uint8 ``[H, W, 3]`` -> float ``[3, S, S]`` in main memory.
        encode: float ``[B, 3, S, S]`` on the device -> named features of B images.
        compute: device and type of the products.
        cache: of image features.
        options: how concurrent calls share batches.
    """

    def __init__(
        self,
        key: str,
        prepare: Callable[[RgbImage], Tensor],
        encode: Callable[[Tensor], Features],
        *,
        compute: Compute,
        cache: EmbeddingCache,
        options: EngineOptions,
    ) -> None:
        self.prepare = prepare
        self._key, self._encode = key, encode
        self._compute, self._cache = compute, cache
        largest = options.images_at_once(compute.device.type)
        self._shared = MicroBatcher(self.encode, largest=largest, wait_seconds=options.micro_batch_wait_seconds) if largest > 1 else None

    def __call__(self, image: RgbImage, digest: str) -> Features:
        """Features of one image, on the device. Threads that ask for one image at once have it encoded once.

        Args:
            image: uint8 ``[H, W, 3]``.
            digest: of the image, see :func:`models.digests.image_digest`.
        """
        known = self._cache.get(f"{self._key}-{digest}", lambda: self._make(image))
        return {name: self._compute.upload(part) for name, part in known.items()}

    def encode(self, images: Sequence[Tensor]) -> list[Features]:
        """Features of each prepared image, in main memory; in smaller batches when memory runs out."""
        return list(run_in_parts(self._encode_batch, images, release=self._compute.release))

    def _make(self, image: RgbImage) -> Features:
        if self._shared is not None:
            return self._shared(lambda: self.prepare(image))
        return self.encode([self.prepare(image)])[0]

    def _encode_batch(self, images: Sequence[Tensor]) -> list[Features]:
        with torch.inference_mode(), self._compute.autocast():
            features = self._encode(self._compute.upload(torch.stack(list(images))))
        return list(_split(features, len(images)))


def _split(features: Features, count: int) -> Iterator[Features]:
    """Features of B images -> one by one, as copies in main memory that do not keep the batch alive."""
    for image in range(count):
        yield {name: part[image : image + 1].to("cpu", copy=True) for name, part in features.items()}
