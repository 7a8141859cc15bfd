"""What a fine-tuning is asked for and what comes of it. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from models.version_folder import CurvePoint, Scores

FEWEST_STEPS = 120
"""Of a fine-tuning that is not told to make fewer."""


class FineTuneError(ValueError):
    """There is nothing to learn from, or the request cannot be met. One line for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FineTuneConfig:
    """How much is learned and how fast. The defaults suit the small models that this project trains, and twenty to some hundred images.

    See :func:`published_finetuning` for the published sizes.
    """

    seed: int = 0
    steps: int = 240
    """Most steps; validation may end it earlier."""
    steps_per_image: int = 4
    """So many for each image that teaches, but at least :data:`FEWEST_STEPS`: a few images seen too often are only remembered."""
    batch_size: int = 4
    """Images of the data set per step."""
    replay_size: int = 2
    """Images of the base's own domain per step, against forgetting; 0 for none."""
    expressions_per_image: int = 4
    views: int = 6
    """Of each image: itself, its mirror image (with the expressions that name neither left nor right), turned and scaled ones."""
    collages: int = 10
    """For each image, so many with marked objects of others pasted in (:mod:`models.finetuning.collages`); 0 for none."""
    naming: float = 0.5
    """Weight of the recipe's naming loss: every patch of a labelled region must be nearest to its label among all labels."""
    learning_rate: float = 3e-4
    """Of the head."""
    text_rate: float = 0.3
    """Of CLIP's text tower, as a share of ``learning_rate``; 0 leaves it as it is."""
    decoder_rate: float = 0.1
    """The same for SAM's mask decoder."""
    decoder_from: float = 0.25
    """SAM's mask decoder learns after this share of the steps, when prompts have settled."""
    low_rank: int = 16
    """Rank of the adapters on the last blocks of CLIP's image tower; 0 for none."""
    low_rank_blocks: int = 4
    """How many blocks have adapters. What lies before them is computed once per image and kept."""
    low_rank_rate: float = 8.0
    """Learning rate of the adapters, as a multiple of ``learning_rate``: artwork that is new has to be seen in a new way, while a head that
    learned as fast would forget what it knew."""
    base_share: float = 0.3
    """So much of the base's weights is mixed into what was learned (:mod:`models.finetuning.leaning`); 0 for none."""
    label_steps: int = 40
    """Steps of SAM-MI's network on the labels, where the base has one; 0 leaves it as it is."""
    label_rate: float = 2e-4
    """Learning rate of these steps."""
    objective: Literal["auto", "pointing", "published"] = "auto"
    """Losses: of this project's recipe, or the paper's; ``auto`` is what the base was made with."""
    schedule: Literal["cosine", "published"] = "cosine"
    """Warm-up and cosine over the steps; or the paper's, with eightieths of the steps as epochs."""
    weight_decay: float = 0.03
    clip_norm: float = 1.0
    validate_every: int = 20
    """Steps of an epoch: as many as make a point of the learning curve."""
    patience: int = 4
    """So many epochs without a better validation end the training; the best one counts."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 where the device multiplies in it natively."""
    device: str = "auto"
    """As for :func:`models.load_engine`."""
    embedding_bytes: int = 512 * 2**20
    """Memory for what the frozen encoders made of images; all of it also lies in the run's folder."""

    def paced(self, images: int) -> FineTuneConfig:
        """With the steps that so many images are worth."""
        return replace(self, steps=min(self.steps, max(FEWEST_STEPS, self.steps_per_image * images)))

    def __post_init__(self) -> None:
        for name in ("steps", "steps_per_image", "batch_size", "expressions_per_image", "views", "validate_every", "patience"):
            if getattr(self, name) < 1:
                raise FineTuneError(f"FineTuneConfig.{name} must be at least 1, found {getattr(self, name)}")
        rates = (
            "replay_size",
            "text_rate",
            "decoder_rate",
            "low_rank",
            "low_rank_blocks",
            "low_rank_rate",
            "weight_decay",
            "naming",
            "label_steps",
            "collages",
        )
        for name in (*rates, "embedding_bytes"):
            if getattr(self, name) < 0:
                raise FineTuneError(f"FineTuneConfig.{name} must not be negative, found {getattr(self, name)}")
        if not 0 <= self.base_share < 1:
            raise FineTuneError(f"FineTuneConfig.base_share must be at least 0 and less than 1, found {self.base_share}")
        if not self.learning_rate > 0:
            raise FineTuneError(f"FineTuneConfig.learning_rate must be positive, found {self.learning_rate}")


def published_finetuning() -> FineTuneConfig:
    """The paper's optimisation (spec 5.2) with a published checkpoint as its start: CLIP frozen, SAM's decoder late and slow."""
    return FineTuneConfig(
        steps=1000, steps_per_image=1000, batch_size=8, replay_size=0, expressions_per_image=1, views=1, collages=0, naming=0.0,
        learning_rate=1e-4, base_share=0.0, text_rate=0.0, low_rank=0, schedule="published", weight_decay=1e-4,
        clip_norm=0.1, validate_every=50,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FineTuning:
    """A request."""

    base: str
    """Profile or weights folder that the version will be relative to."""
    parent: Path | None = None
    """Folder of the version to go on from; ``None``: from the base."""
    dataset: Path
    """Data set folder with the splits ``train`` and ``val`` (or ``validation``)."""
    run_dir: Path
    """Checkpoint, log and embeddings; a run that was killed goes on from here."""
    out: Path
    """Folder of the version to write."""
    version: str
    """Its name; becomes ``Engine.version``."""
    config: FineTuneConfig = field(default_factory=FineTuneConfig)
    replay: Path | None = None
    """Data set folder of the base's own domain; ``None``: the scenes that ship."""


@dataclass(frozen=True, slots=True)
class FineTuneProgress:
    """How far it is."""

    epoch: int
    """Finished epochs."""
    epochs: int
    step: int
    steps: int
    figures: Mapping[str, float]
    """Means since the last report; ``validation`` where an epoch has just ended."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What came of it."""

    folder: Path
    scores: Mapping[str, Scores]
    """``serving`` and ``candidate``, on the same images."""
    is_better: bool
    curve: tuple[CurvePoint, ...]
    wall_seconds: float


ReportProgress = Callable[[FineTuneProgress], None]
