"""Sizes of SSP-SAM as configuration: one implementation, many sizes (spec section 8.1).

The published models are :func:`ssp_sam_224` and :func:`ssp_sam_336`. :func:`tiny` is the small model that this project trains itself;
what it adds to the published architecture is a set of named switches, all off by default. :func:`contract` is a network of odd,
mutually different sizes for tests: a transposed axis cannot hide in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


def _positive(owner: object, *names: str) -> None:
    for name in names:
        if getattr(owner, name) < 1:
            raise ValueError(f"{type(owner).__name__}.{name} must be at least 1, found {getattr(owner, name)}")


def _divides(owner: object, divisor: str, value: str) -> None:
    if getattr(owner, value) % getattr(owner, divisor):
        raise ValueError(f"{type(owner).__name__}.{value}={getattr(owner, value)} must be divisible by {divisor}={getattr(owner, divisor)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """CLIP with surgery attention (spec section 3.3)."""

    image_size: int
    """Side of the square input canvas in pixels."""
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    text_width: int
    text_layers: int
    text_heads: int
    embed_dim: int
    """Width of the joint image-text space."""
    vocab_size: int = 49408
    """The end token must be the largest id, 0 must be padding."""
    context_length: int = 77
    surgery_blocks: int = 6
    """How many of the last vision blocks run the second, value-value path; 0 is plain CLIP."""
    letterbox: Literal["centre", "top-left"] = "centre"
    """Where the image lies on the canvas. The published models centre it, so CLIP's and SAM's patches do not coincide."""
    conv_stem: tuple[int, ...] | None = None
    """Switch: channels of a convolutional stem in place of the linear patch embedding."""

    def __post_init__(self) -> None:
        _positive(self, "image_size", "patch_size", "vision_layers", "text_layers", "embed_dim", "vocab_size", "context_length")
        _divides(self, "patch_size", "image_size")
        _divides(self, "vision_heads", "vision_width")
        _divides(self, "text_heads", "text_width")
        if not 0 <= self.surgery_blocks <= self.vision_layers:
            raise ValueError(f"ClipConfig.surgery_blocks must lie in 0..{self.vision_layers}, found {self.surgery_blocks}")

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, kw_only=True, slots=True)
class SamConfig:
    """SAM (spec section 3.6); the defaults are those of every published SAM."""

    image_size: int = 1024
    patch_size: int = 16
    width: int = 1280
    depth: int = 32
    heads: int = 16
    window_size: int = 14
    global_blocks: tuple[int, ...] = (7, 15, 23, 31)
    use_rel_pos: bool = True
    out_channels: int = 256
    """Width of image and prompt embeddings, d in the spec."""
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048
    iou_head_hidden_dim: int = 256
    mask_in_channels: int = 16
    conv_stem: tuple[int, ...] | None = None
    """Switch: as in :class:`ClipConfig`."""
    high_resolution_skips: bool = False
    """Switch: stem features at strides 8 and 4 join the mask decoder's upscaling. Needs ``conv_stem``."""
    point_features: bool = False
    """Switch: clicks and corners of boxes carry what the image shows at their place. Needs ``high_resolution_skips``."""

    def __post_init__(self) -> None:
        _positive(self, "image_size", "patch_size", "width", "depth", "out_channels", "decoder_depth")
        _divides(self, "patch_size", "image_size")
        _divides(self, "heads", "width")
        if self.out_channels % 8 or (self.out_channels // 2) % self.decoder_heads:
            raise ValueError(
                f"SamConfig.out_channels={self.out_channels} must be divisible by 8, and its half by decoder_heads={self.decoder_heads}"
            )
        if self.high_resolution_skips and self.conv_stem is None:
            raise ValueError("SamConfig.high_resolution_skips takes its features from the stem; set conv_stem")
        if self.point_features and not self.high_resolution_skips:
            raise ValueError("SamConfig.point_features reads the skips; set high_resolution_skips=True as well")

    @property
    def grid(self) -> int:
        """Embedding cells along one side."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadConfig:
    """The trainable head (spec section 4); the defaults are the published sizes."""

    mixing_width: int = 512
    mixing_heads: int = 8
    gru_hidden: int = 512
    prompts: int = 128
    generator_layers: int = 6
    generator_heads: int = 8
    generator_ffn: int = 2048
    verification_dropout: float = 0.1
    published_extras: bool = True
    """Keep the modules that published checkpoints hold but never call (spec section 3.2), so that files round-trip."""
    patch_norm: Literal["tokens", "channels"] = "tokens"
    """Axis of the norm of patch features. ``tokens`` is published; ``channels`` keeps absolute similarity, which tells presence."""
    patch_positions: bool = False
    """Switch: SAM's own dense positional code, projected, joins the patches. Needs equal CLIP and SAM grids."""
    directed_positions: bool = False
    """Switch: the phrase scales those positions, so that "how far to the left" is a feature of each patch. Needs ``patch_positions``."""
    patch_shapes: bool = False
    """Switch: SAM's embedding of its cell joins each patch. It tells how large the object there is, which CLIP's patches hardly do.
    Needs ``patch_positions``."""
    word_tokens: bool = False
    """Switch: the words themselves join the prompt generator's sequence."""
    word_identities: bool = False
    """Switch: an embedding of the head's own joins CLIP's words, so that words that CLIP was not trained on differ from the start."""
    point_prompts: bool = False
    """Switch: every prompt also carries SAM's positional code of where it attends, so it speaks SAM's point-prompt language."""
    presence: bool = False
    """Switch: a relevance logit per patch and a logit for "the phrase refers to something here"."""

    def __post_init__(self) -> None:
        _positive(self, "mixing_width", "gru_hidden", "prompts", "generator_layers")
        _divides(self, "mixing_heads", "mixing_width")
        if (self.directed_positions or self.patch_shapes) and not self.patch_positions:
            raise ValueError(
                "HeadConfig.directed_positions and patch_shapes build on the positions of patches; set patch_positions=True as well"
            )
        if self.point_prompts and not self.presence:
            raise ValueError("HeadConfig.point_prompts attends by the relevance logits; set presence=True as well")


@dataclass(frozen=True, kw_only=True, slots=True)
class SspSamConfig:
    """One SSP-SAM network."""

    name: str
    clip: ClipConfig
    sam: SamConfig = field(default_factory=SamConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    reads_parts: bool = False
    """Switch of the engine: each part of a phrase that names several things ("the red and the blue car") is answered on its own.
    Published networks read it as one (spec section 2)."""

    def __post_init__(self) -> None:
        if self.sam.out_channels % self.head.generator_heads:
            raise ValueError(
                f"SamConfig.out_channels={self.sam.out_channels} must be divisible by generator_heads={self.head.generator_heads}"
            )
        if (self.head.patch_positions or self.head.point_prompts) and (
            self.clip.grid != self.sam.grid or self.clip.letterbox != "top-left"
        ):
            raise ValueError(
                "HeadConfig.patch_positions and point_prompts need CLIP's patches to lie on SAM's cells: equal grids "
                f"(found {self.clip.grid} and {self.sam.grid}) and letterbox='top-left' (found {self.clip.letterbox!r})"
            )

    @property
    def mask_canvas(self) -> int:
        """Side of the padded square on which masks are compared, half of SAM's input (spec section 5.4)."""
        return self.sam.image_size // 2

    @property
    def empty_mask_pixels(self) -> float:
        """Fewer foreground pixels than this on the mask canvas mean "no target": 50 of 512 x 512, scaled with the area."""
        return 50.0 * (self.mask_canvas / 512) ** 2


def ssp_sam_224() -> SspSamConfig:
    """SSP-SAM-224: OpenAI CLIP ViT-B/16 and SAM ViT-H."""
    return SspSamConfig(
        name="ssp-sam-224",
        clip=ClipConfig(
            image_size=224, patch_size=16, vision_width=768, vision_layers=12, vision_heads=12,
            text_width=512, text_layers=12, text_heads=8, embed_dim=512,
        ),
    )  # fmt: skip


def ssp_sam_336() -> SspSamConfig:
    """SSP-SAM-336: OpenAI CLIP ViT-L/14@336px and SAM ViT-H."""
    return SspSamConfig(
        name="ssp-sam-336",
        clip=ClipConfig(
            image_size=336, patch_size=14, vision_width=1024, vision_layers=24, vision_heads=16,
            text_width=768, text_layers=12, text_heads=12, embed_dim=768,
        ),
    )  # fmt: skip


def sam_vit_b() -> SamConfig:
    """SAM ViT-B, the smallest published SAM; not part of a published SSP-SAM."""
    return SamConfig(width=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11))


def sam_vit_l() -> SamConfig:
    """SAM ViT-L; not part of a published SSP-SAM."""
    return SamConfig(width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23))


def sam_vit_h() -> SamConfig:
    """SAM ViT-H, that of the published SSP-SAM."""
    return SamConfig()


def ssp_sam_224_vit_b() -> SspSamConfig:
    """SSP-SAM-224 on SAM ViT-B: not published, the real size that fits a small machine. Used by benchmarks."""
    return SspSamConfig(name="ssp-sam-224-vit-b", clip=ssp_sam_224().clip, sam=sam_vit_b())


def tiny(vocab_size: int = 512) -> SspSamConfig:
    """The model that Wordmask ships, trained by us on emoji scenes; its model card lists every switch."""
    stem = (32, 64, 96)
    return SspSamConfig(
        name="tiny",
        clip=ClipConfig(
            image_size=256, patch_size=16, vision_width=192, vision_layers=4, vision_heads=6,
            text_width=128, text_layers=3, text_heads=4, embed_dim=128, vocab_size=vocab_size, context_length=24,
            surgery_blocks=1, letterbox="top-left", conv_stem=stem,
        ),
        sam=SamConfig(
            image_size=256, patch_size=16, width=192, depth=3, heads=6, window_size=0, global_blocks=(), use_rel_pos=False,
            out_channels=128, decoder_heads=4, decoder_mlp_dim=512, iou_head_hidden_dim=128, conv_stem=stem,
            high_resolution_skips=True, point_features=True,
        ),
        head=HeadConfig(
            mixing_width=128, mixing_heads=4, gru_hidden=64, prompts=8, generator_layers=3, generator_heads=4, generator_ffn=512,
            verification_dropout=0.0, published_extras=False, patch_norm="channels", patch_positions=True, directed_positions=True,
            patch_shapes=True, word_tokens=True, word_identities=True, point_prompts=True, presence=True,
        ),
        reads_parts=True,
    )  # fmt: skip


def contract() -> SspSamConfig:
    """Published architecture at odd sizes, all different, with random weights: for tests (spec section 8.3)."""
    return SspSamConfig(
        name="contract",
        clip=ClipConfig(
            image_size=32, patch_size=8, vision_width=64, vision_layers=8, vision_heads=2, text_width=64, text_layers=2,
            text_heads=2, embed_dim=48, vocab_size=128, context_length=16,
        ),
        sam=SamConfig(
            image_size=128, patch_size=16, width=48, depth=2, heads=2, window_size=4, global_blocks=(1,), out_channels=32,
            decoder_heads=4, decoder_mlp_dim=64, iou_head_hidden_dim=32,
        ),
        head=HeadConfig(
            mixing_width=32, mixing_heads=4, gru_hidden=24, prompts=8, generator_layers=2, generator_heads=4, generator_ffn=64,
        ),
    )  # fmt: skip


CONFIGURATIONS = (tiny, ssp_sam_224, ssp_sam_336, ssp_sam_224_vit_b, contract)


def named_config(name: str) -> SspSamConfig:
    """The configuration that calls itself ``name``.

    Raises:
        ValueError: there is none.
    """
    known = {config.name: config for config in (make() for make in CONFIGURATIONS)}
    if name not in known:
        raise ValueError(f"no configuration of SSP-SAM is called {name!r}; there are {', '.join(known)}")
    return known[name]
