"""SSP-SAM: a phrase and an image become prompts for SAM (spec section 1). This file only joins the stages."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from models.ssp_sam.adapters import LinguisticAdapter, VisualAdapter
from models.ssp_sam.clip_surgery import SurgeryClip
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.presence import PointPrompts, PresenceHead
from models.ssp_sam.prompt_generator import BoxHead, PromptGenerator
from models.ssp_sam.published_extras import PublishedExtras
from models.ssp_sam.sam_masks import SamFeatures, build_sam, cell_prompts, decode_masks, encode_image, positional_code


class ImageFeatures(NamedTuple):
    """All that depends on the image alone, B images; made once and cached."""

    clip_tokens: Tensor
    """float ``[B, 1 + N, E]``."""
    sam: SamFeatures

    def select(self, index: Tensor) -> ImageFeatures:
        """Features of the images ``index``, int64 ``[K]``: one image per phrase."""
        return ImageFeatures(self.clip_tokens[index], self.sam.select(index))

    def repeat(self, count: int) -> ImageFeatures:
        """One image's features for ``count`` phrases, without copying them."""
        return ImageFeatures(self.clip_tokens.expand(count, -1, -1), self.sam.repeat(count))


class PhraseFeatures(NamedTuple):
    """All that depends on the phrase alone, K phrases."""

    sentence: Tensor
    """float ``[K, E]``."""
    words: Tensor
    """float ``[K, T, Wt]``."""
    padding: Tensor
    """bool ``[K, T]``."""


class Prediction(NamedTuple):
    """K answers."""

    box: Tensor
    """float ``[K, 4]``: cx, cy, w, h in 0..1 of the CLIP canvas."""
    low_res_logits: Tensor
    """float ``[K, 4G, 4G]`` over SAM's padded square."""
    predicted_iou: Tensor
    """float ``[K]``, SAM's own guess of the mask's quality."""
    relevance: Tensor | None = None
    """float ``[K, N]`` logits; only with the switch ``presence``."""
    presence: Tensor | None = None
    """float ``[K]`` logits; only with the switch ``presence``."""
    earlier_relevance: tuple[Tensor, ...] = ()
    """What the generator's earlier layers hold relevant, each like ``relevance``; made while training only, for its loss."""


class SspSam(nn.Module):
    """The network at any size. Parameters are named for clarity; ``checkpoint.py`` knows the published names.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: SspSamConfig) -> None:
        super().__init__()
        width, head = config.sam.out_channels, config.head
        self.config = config
        self.clip = SurgeryClip(config.clip)
        self.sam = build_sam(config.sam)
        self.linguistic_adapter = LinguisticAdapter(config.clip, head)
        self.visual_adapter = VisualAdapter(config.clip, head)
        self.generator = PromptGenerator(config)
        self.box_head = BoxHead(width)
        self.presence_head = PresenceHead(width) if head.presence else None
        self.point_prompts = PointPrompts(width) if head.point_prompts else None
        self.word_identities = nn.Embedding(config.clip.vocab_size, config.clip.text_width) if head.word_identities else None
        self.published_extras = PublishedExtras(width) if head.published_extras else None

    def encode_images(self, clip_image: Tensor, sam_image: Tensor) -> ImageFeatures:
        """Image side, B images: float ``[B, 3, S, S]`` for CLIP and for SAM, each normalised and padded its own way."""
        return ImageFeatures(self.clip.encode_patches(clip_image), encode_image(self.sam, sam_image))

    def encode_phrases(self, ids: Tensor) -> PhraseFeatures:
        """Phrase side: token ids int64 ``[K, T]``, zero padded to the full context length."""
        sentence, words = self.clip.encode_words(ids)
        if self.word_identities is not None:
            words = words + self.word_identities(ids)
        return PhraseFeatures(sentence, words, padding=ids == 0)

    def decode(self, images: ImageFeatures, phrases: PhraseFeatures) -> Prediction:
        """Phrases meet images, one image per phrase (see :meth:`ImageFeatures.select`)."""
        cell_codes = positional_code(self.sam)
        words, phrase = self.linguistic_adapter(phrases.words, phrases.padding)
        fused = self.visual_adapter(images.clip_tokens, phrases.sentence, words, phrases.padding)
        tokens = self.generator(fused, phrase, words, cell_codes, images.sam.embedding.flatten(2).mT)
        box = self.box_head(tokens.box_token)
        relevance, presence = None, None
        earlier: tuple[Tensor, ...] = ()
        if self.presence_head is not None:
            relevance, presence = self.presence_head(tokens)
            earlier = tuple(map(self.presence_head.relevance_of, tokens.earlier_patches))
        prompts = tokens.prompts
        if self.point_prompts is not None:
            positive_point = self.sam.prompt_encoder.point_embeddings[1].weight
            prompts = self.point_prompts(tokens, relevance, cell_prompts(self.sam, images.sam), positive_point)
        logits, predicted_iou = decode_masks(self.sam, images.sam, prompts)
        return Prediction(box, logits.float(), predicted_iou.float(), relevance, presence, earlier)

    def forward(self, clip_image: Tensor, ids: Tensor, sam_image: Tensor) -> Prediction:
        """One phrase per image.

        Args:
            clip_image: float ``[B, 3, S, S]``, CLIP-normalised, letterboxed (spec 2.1).
            ids: int64 ``[B, T]`` (spec 2.4).
            sam_image: float ``[B, 3, S', S']``, SAM-normalised and padded (spec 2.2), or SAM's image embedding ``[B, d, G, G]``.
        """
        is_embedding = sam_image.shape[1] == self.config.sam.out_channels
        sam = SamFeatures(sam_image) if is_embedding else encode_image(self.sam, sam_image)
        return self.decode(ImageFeatures(self.clip.encode_patches(clip_image), sam), self.encode_phrases(ids))

    def mask_logits(self, low_res_logits: Tensor) -> Tensor:
        """Low-resolution logits ``[K, 4G, 4G]`` -> ``[K, M, M]`` on the padded mask canvas (spec 4.6)."""
        side = self.config.mask_canvas
        return F.interpolate(low_res_logits.unsqueeze(1), (side, side), mode="bilinear", align_corners=False).squeeze(1)


def trainable_head(model: SspSam) -> list[nn.Parameter]:
    """Parameters of the head: everything except CLIP and SAM. With SAM's mask decoder they are what training touches (spec 3.1)."""
    frozen = {id(p) for part in (model.clip, model.sam) for p in part.parameters()}
    return [p for p in model.parameters() if id(p) not in frozen]
