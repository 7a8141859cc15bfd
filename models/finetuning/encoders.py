"""The image side in two: a frozen trunk, run once per image and kept, and the blocks behind it, which may learn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.devices import Compute
from models.embedding_cache import EmbeddingCache, Features
from models.preprocess import clip_image, clip_letterbox, sam_image, sam_letterbox
from models.ssp_sam.clip_surgery import PatchStreams
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.sam_masks import SamFeatures, encode_image
from models.types import RgbImage

LoadImage = Callable[[], RgbImage]


class SplitEncoders:
    """Features of images for training.

    Args:
        model: the network; its image encoders are in evaluation mode.
        tail_blocks: how many of CLIP's last blocks may learn. 0: the trunk is the whole image side.
        compute: device and type of the trunk's products.
        cache: of what the trunk makes.
    """

    def __init__(self, model: SspSam, tail_blocks: int, compute: Compute, cache: EmbeddingCache) -> None:
        layers = len(model.clip.visual.transformer.resblocks)
        self._model, self._compute, self._cache = model, compute, cache
        self._first = layers - min(tail_blocks, layers)
        self._key = _trunk_digest(model, self._first, compute)

    @property
    def tail(self) -> list[nn.Module]:
        """The blocks of CLIP behind the trunk."""
        return list(self._model.clip.visual.transformer.resblocks)[self._first :]

    def trunk(self, digest: str, load: LoadImage) -> Features:
        """What the trunk makes of one image, in main memory; made now where it is not known.

        Args:
            digest: of the image's pixels.
            load: gives the image; called only where the trunk has to run.
        """
        return self._cache.get(f"{self._key}-{digest}", lambda: self.encode(load()))

    def encode(self, image: RgbImage) -> Features:
        """Run the trunk on one image uint8 ``[H, W, 3]``."""
        clip, sam, size_hw = self._model.config.clip, self._model.config.sam, (image.shape[0], image.shape[1])
        for_clip = clip_image(image, clip_letterbox(size_hw, clip.image_size, clip.letterbox))
        for_sam = sam_image(image, sam_letterbox(size_hw, sam.image_size))
        with torch.inference_mode(), self._compute.autocast():
            streams = self._model.clip.embed(self._compute.upload(for_clip[None]))
            streams = self._model.clip.run_blocks(streams, 0, self._first)
            features = encode_image(self._model.sam, self._compute.upload(for_sam[None]))
        parts = {**streams._asdict(), **features._asdict()}
        return {name: part.to("cpu", copy=True) for name, part in parts.items() if part is not None}

    def features(self, trunks: Sequence[Features]) -> ImageFeatures:
        """Run the tail on what the trunk made of B images; with gradients where they are on."""
        joined = {name: self._compute.upload(torch.cat([one[name] for one in trunks])) for name in trunks[0]}
        streams = PatchStreams(joined["original"], joined.get("surgery"))
        tokens = self._model.clip.project(self._model.clip.run_blocks(streams, self._first))
        return ImageFeatures(tokens, SamFeatures(joined["embedding"], joined.get("skip8"), joined.get("skip4")))


def _trunk_digest(model: SspSam, first: int, compute: Compute) -> str:
    """What tells this trunk's features from those of others: its weights, its depth and the precision."""
    digest = hashlib.blake2b(f"{first} {compute.dtype}".encode(), digest_size=16)
    trained = tuple(f"transformer.resblocks.{number}." for number in range(first, len(model.clip.visual.transformer.resblocks)))
    for prefix, part in (("clip", model.clip.visual), ("sam", model.sam.image_encoder)):
        for name, tensor in part.state_dict().items():
            if prefix == "sam" or not name.startswith((*trained, "ln_post", "proj")):
                digest.update(f"{prefix}.{name}".encode())
                digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes()
