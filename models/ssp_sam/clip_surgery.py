"""CLIP with the surgery attention path: all patches of an image, all words of a phrase (spec section 3.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.transformer import VisionTransformer
from torch import Tensor

from models.attention import attend, merge_heads, multi_head_attention, project_qkv
from models.conv_stem import ConvStem
from models.devices import in_float32
from models.ssp_sam.config import ClipConfig


class PatchStreams(NamedTuple):
    """Tokens on their way through the image tower."""

    original: Tensor
    """float ``[B, 1 + N, V]``."""
    surgery: Tensor | None = None
    """The same on the surgery path; ``None`` before the first block that has one."""


class SurgeryClip(CLIP):  # type: ignore[misc]  # published without types
    """open_clip's CLIP, unmodified weights and names, with two more ways to read it: all patches of an image, all words of a phrase.

    The surgery adds no parameter: in the last blocks a second residual stream collects value-value attention, computed from the original
    stream and without the feed-forward part, which keeps patches faithful to what lies under them.
    """

    visual: VisionTransformer

    def __init__(self, config: ClipConfig) -> None:
        vision = CLIPVisionCfg(
            layers=config.vision_layers,
            width=config.vision_width,
            head_width=config.vision_width // config.vision_heads,
            patch_size=config.patch_size,
            image_size=config.image_size,
        )
        text = CLIPTextCfg(
            context_length=config.context_length,
            vocab_size=config.vocab_size,
            width=config.text_width,
            heads=config.text_heads,
            layers=config.text_layers,
        )
        super().__init__(config.embed_dim, vision, text, quick_gelu=True)
        self.surgery_blocks = config.surgery_blocks
        if config.conv_stem is not None:
            self.visual.conv1 = ConvStem(config.conv_stem, config.vision_width)

    def encode_patches(self, image: Tensor) -> Tensor:
        """All tokens in the joint space.

        Args:
            image: float ``[B, 3, S, S]``, CLIP-normalised, letterboxed on zeros.

        Returns:
            float ``[B, 1 + N, E]``, not normalised; token 0 is CLIP's own class token, the others come from the surgery path, row by row.
        """
        return self.project(self.run_blocks(self.embed(image)))

    def embed(self, image: Tensor) -> PatchStreams:
        """First part of :meth:`encode_patches`: what enters the first block."""
        visual = self.visual
        patches = visual.conv1(image).flatten(2).transpose(1, 2)
        class_token = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        return PatchStreams(visual.ln_pre(torch.cat([class_token, patches], dim=1) + visual.positional_embedding))

    def run_blocks(self, streams: PatchStreams, first: int = 0, last: int | None = None) -> PatchStreams:
        """Second part: through the blocks ``first`` to ``last`` (without it; ``None``: to the end)."""
        original, surgery = streams
        blocks = list(self.visual.transformer.resblocks)
        plain = len(blocks) - self.surgery_blocks
        for number, block in enumerate(blocks[:last]):
            if number < first:
                continue
            if number < plain:
                original = _block(block, original)
                continue
            normed = block.ln_1(original)
            query, key, value = project_qkv(block.attn, normed, normed, normed)
            before = original if surgery is None else surgery
            surgery = before + block.attn.out_proj(merge_heads(attend(value, value, value)))
            original = original + block.attn.out_proj(merge_heads(attend(query, key, value)))
            original = original + block.mlp(block.ln_2(original))
        return PatchStreams(original, surgery)

    def project(self, streams: PatchStreams) -> Tensor:
        """Last part: the tokens in the joint space."""
        original, surgery = streams
        tokens = original if surgery is None else torch.cat([original[:, :1], surgery[:, 1:]], dim=1)
        with in_float32(tokens.device):  # what is compared, patch by patch, is the small difference between patches
            projected: Tensor = self.visual.ln_post(tokens.float()) @ self.visual.proj
        return projected

    def encode_words(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Sentence and words of each phrase.

        Args:
            ids: int64 ``[K, T]``, T up to the context length, padded with 0; the end token has the largest id.

        Returns:
            sentence float ``[K, E]`` in the joint space and words float ``[K, T, Wt]``, neither normalised.
        """
        words = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        for block in self.transformer.resblocks:
            words = _block(block, words, causal=True)
        words = self.ln_final(words)
        sentence = words[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)] @ self.text_projection
        return sentence, words


def _block(block: Any, tokens: Tensor, *, causal: bool = False) -> Tensor:
    """One of open_clip's residual attention blocks, ``[B, L, C]`` -> ``[B, L, C]``."""
    normed = block.ln_1(tokens)
    tokens = tokens + multi_head_attention(block.attn, normed, normed, normed, causal=causal)
    answer: Tensor = tokens + block.mlp(block.ln_2(tokens))
    return answer
