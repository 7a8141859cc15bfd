"""The numbers of the zero-training mode (spec section 7): thresholds, not weights. Each set belongs to a pair of CLIP and SAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STUFF_WORDS = (
    "background", "sky", "wall", "floor", "ground", "grass", "road", "water", "ceiling", "pavement", "sand", "snow", "mountain", "building",
)  # fmt: skip
"""What photographs show behind things; competes with the labels when a network has no background of its own."""

TINY_CONFIGURATIONS = ("tiny",)
"""Of the networks that this project trains on emoji scenes."""

PLAIN_TEMPLATES = ("{}", "the {}", "a {}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """One set of thresholds. Lengths are shares, so that they hold at every resolution."""

    temperature: float | None = 40.0
    """Cosines are multiplied by this before the softmax; ``None``: the scale that CLIP learned."""
    background_cosine: float | None = None
    """A patch whose cosines all stay below this shows nothing that is asked for; ``None``: only names compete."""
    background_words: tuple[str, ...] = STUFF_WORDS
    templates: Literal["plain", "imagenet"] = "imagenet"
    """Sentences that a label is put into; their directions are averaged."""

    region_confidence: float = 0.05
    """Least mean probability of a region of one label that gets points."""
    region_cells: int = 4
    """Least area of such a region, in cells of the point grid."""
    area_per_point: float = 0.05
    """A region gets one more point for every such share of the image."""
    points_per_region: int = 6
    most_points: int = 64
    fewest_points: int = 16
    """Below this many, a 4 x 4 grid is added where nothing was found; 0 for never."""

    mask_tokens: tuple[int, ...] = (1, 2, 3)
    """Which of SAM's masks are looked at; token 0 is the one for unambiguous prompts."""
    mask_iou: float = 0.7
    """Least IoU that SAM guesses of a mask."""
    stability: float = 0.85
    mask_area: float = 0.0005
    """Least share of the image."""
    mask_nms: float = 0.8
    """Of two masks with at least this IoU the worse one is dropped."""

    duplicate_iou: float = 0.8
    part_containment: float = 0.9
    part_similarity: float = 0.85
    neighbour_similarity: float = 0.9
    largest_join: float = 0.6
    """No joined mask covers more of the image, unless all its members are stuff."""

    correction: float = 2.0
    """Lambda: how strongly masks smooth the map of words; 0 leaves it alone."""
    close_labels: int | None = None
    """The trained network looks closely at so many labels, those that words hold most probable; ``None``: all that it may."""
    close_probability: float = 0.0
    """And only at those that the words hold this probable somewhere."""
    inject_masks: bool = True
    """Whether a trained network sees the masks, too, or only the correction after it; what is better is a matter of the weights."""
    trained_correction: float = 0.0
    """The same after a trained network has had its say."""
    mask_agreement: float | None = None
    """A mask of which so large a share is of one label is of that label as a whole, in the map of labels; ``None``: no mask is."""
    trained_yes: float = 0.5
    """A label of a trained network must exceed this probability to win a cell."""
    score: float = 0.35
    """Least score of a proposal."""
    proposal_nms: float = 0.6

    def __post_init__(self) -> None:
        if self.background_cosine is None and not self.background_words:
            raise ValueError("Preset needs background_cosine or background_words: a single label would otherwise win every pixel")
        shares = ("mask_iou", "stability", "mask_nms", "duplicate_iou", "part_containment", "largest_join", "score", "proposal_nms")
        for name in (*shares, "trained_yes", "close_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"Preset.{name} is a share, 0..1, found {getattr(self, name)}")
        if self.mask_agreement is not None and not 0.0 <= self.mask_agreement <= 1.0:
            raise ValueError(f"Preset.mask_agreement is a share, 0..1, or None, found {self.mask_agreement}")
        for name in ("correction", "trained_correction"):
            if getattr(self, name) < 0:
                raise ValueError(f"Preset.{name} must not be negative, found {getattr(self, name)}")
        if self.close_labels is not None and self.close_labels < 1:
            raise ValueError(f"Preset.close_labels must be at least 1, or None, found {self.close_labels}")
        if not self.mask_tokens:
            raise ValueError("Preset.mask_tokens must name at least one of SAM's masks, found none")


def public_preset() -> Preset:
    """For public CLIP and SAM weights; after the published training-free methods, not measured here."""
    return Preset()


def tiny_preset() -> Preset:
    """For the shipped model, measured on its validation scenes."""
    return Preset(
        temperature=None, background_cosine=0.35, background_words=(), templates="plain", fewest_points=0, mask_tokens=(0,), mask_iou=0.2,
        stability=0.2, correction=4.0, inject_masks=False, trained_correction=1.0, mask_agreement=0.6, close_labels=12,
        close_probability=0.3,
    )  # fmt: skip


def preset_for(config_name: str) -> Preset:
    """The set of thresholds that belongs to a configuration of the networks, by its name."""
    return tiny_preset() if config_name in TINY_CONFIGURATIONS else public_preset()
