"""Sizes of SAM-MI's trained network as configuration (spec section 8.3). The encoders in front of it are SSP-SAM's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class SamMiConfig:
    """One network behind CLIP and SAM; the defaults are the published sizes of its base, CAT-Seg on CLIP ViT-B/16."""

    name: str
    embed_dim: int = 512
    """Width of CLIP's joint space."""
    hidden: int = 128
    heads: int = 4
    layers: int = 2
    window: int = 12
    """Side of attention windows in cells; where CLIP's grid is not larger there is one window."""
    pool: int = 2
    """Class attention looks at averages of so many cells a side while training; at every cell afterwards."""
    guidance: tuple[int, int] = (256, 128)
    """Channels of the finer maps, at twice and four times CLIP's grid."""
    guidance_hidden: tuple[int, int] = (32, 16)
    decoder: tuple[int, int] = (64, 32)
    taps: tuple[int, int] | None = (3, 7)
    """Blocks of CLIP, from 0, whose outputs become the finer maps; ``None``: the finer maps come from SAM."""
    tap_width: int = 768
    """Width of CLIP's image tower; read only with ``taps``."""
    most_labels: int = 256
    """Of more labels only those with the strongest cosine anywhere in an image are looked at closely."""
    padded: bool = True
    """Learned tokens fill the list of labels up to ``most_labels``, as in the base; without them the order of labels cannot matter."""
    prompter_width: int = 64
    prompter_names: int = 8
    """How many of the best cosines of a cell the point prompter sees."""
    injection_width: int = 128
    injection_heads: int = 4
    edge_filter: Literal["laplacian", "mask"] = "laplacian"
    """What counts as high frequency: less the surroundings, or less the mean of the mask around."""
    sam_embedding: bool = False
    """Switch: both finer maps are SAM's embedding, finer than CLIP's grid, and not SAM's high-resolution skips. Not with taps."""
    cost_skip: bool = False
    """Switch: the cosines themselves, scaled, join the output, whose head then begins at zero: training starts from the map of words."""

    def __post_init__(self) -> None:
        for value, divisor in (("hidden", "heads"), ("injection_width", "injection_heads")):
            if getattr(self, value) % getattr(self, divisor):
                raise ValueError(f"SamMiConfig.{value}={getattr(self, value)} must be divisible by {divisor}={getattr(self, divisor)}")
        if any(width % 16 for width in self.decoder):
            raise ValueError(f"SamMiConfig.decoder must be multiples of 16, for the group norms, found {self.decoder}")
        if self.sam_embedding and self.taps is not None:
            raise ValueError(f"SamMiConfig.sam_embedding and taps={self.taps} both say where the finer maps come from; set taps=None")
        entering = (self.hidden, self.decoder[0])
        if any(width <= guide for width, guide in zip(entering, self.guidance_hidden, strict=True)):
            raise ValueError(f"SamMiConfig.guidance_hidden={self.guidance_hidden} must be narrower than what it joins, {entering}")


def cat_seg_vit_b() -> SamMiConfig:
    """On CLIP ViT-B/16, at the sizes of the published CAT-Seg: its weights fit the base."""
    return SamMiConfig(name="cat-seg-vit-b")


def clip_vit_b_sam_vit_b() -> SamMiConfig:
    """Behind CLIP ViT-B/16 and SAM ViT-B, for training on photographs: the base's sizes, guided by SAM's embedding.

    The embedding is in the cache already and has more than four times CLIP's cells along a side; taps would have to be kept besides.
    """
    return SamMiConfig(name="clip-vit-b-sam-vit-b", taps=None, sam_embedding=True, guidance=(256, 256), most_labels=256, padded=False)


def tiny() -> SamMiConfig:
    """Behind the shipped encoders; trained by us on emoji scenes."""
    return SamMiConfig(
        name="tiny", embed_dim=128, hidden=48, heads=4, layers=2, window=8, pool=1, guidance=(32, 16), guidance_hidden=(16, 16),
        decoder=(32, 16), taps=None, most_labels=16, padded=False, injection_width=64, cost_skip=True,
    )  # fmt: skip


def contract() -> SamMiConfig:
    """The base's architecture at odd sizes, with random weights: for tests."""
    return SamMiConfig(
        name="contract", embed_dim=48, hidden=32, heads=2, layers=1, window=2, guidance=(24, 20), guidance_hidden=(12, 8), decoder=(16, 32),
        taps=(1, 3), tap_width=64, padded=False, prompter_width=16, injection_width=16, injection_heads=2,
    )  # fmt: skip


CONFIGURATIONS = (tiny, cat_seg_vit_b, clip_vit_b_sam_vit_b, contract)


def named_config(name: str) -> SamMiConfig:
    """The configuration that calls itself ``name``.

    Raises:
        ValueError: there is none.
    """
    known = {config.name: config for config in (make() for make in CONFIGURATIONS)}
    if name not in known:
        raise ValueError(f"no configuration of SAM-MI is called {name!r}; there are {', '.join(known)}")
    return known[name]
