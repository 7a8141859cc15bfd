"""SAM-MI learns to label every cell with the help of SAM's masks; what is in front of it is frozen.

The encoders run in every step. Each scene is seen about once, so a cache of their features would be written and never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.devices import in_float32
from models.sam_mi.cost_map import cost_map
from models.sam_mi.injection import GATES, MaskInput
from models.sam_mi.model import FINER, ImageMaps, SamMi
from models.sam_mi.prompter import point_loss
from models.sam_mi.proposer import Frames, Proposer
from models.sam_mi.question import ask
from models.sam_mi.trained import maps_of, stack_maps
from models.ssp_sam.model import ImageFeatures
from models.ssp_sam.sam_masks import SamFeatures
from models.training.clip_stage import LabelText
from models.training.loop import StageConfig
from models.training.semantic_batches import BatchSource, SemanticBatch, label_coverage, middle_targets

POINT_WEIGHT = 0.1
DROPPED_MASKS = 0.2
DROPPED_IMAGES = 0.1
"""Of single masks, and of all masks of an image: the network must be good without them, too (spec 5.8)."""
ROUGH_MASKS = 0.3
"""Share of the masks that grow, shrink or move by a cell."""
OBVIOUS_SHARE = 0.75
"""Of the labels that an image does not show, so many are those that look most alike; the others are drawn."""
UNLISTED = 0.2
"""Of the labels that an image shows, so many are not asked for: a list seldom names everything in a picture."""


class Lesson(NamedTuple):
    """What one step learns from."""

    maps: ImageMaps
    text: Tensor
    """float ``[B, T, E]``."""
    masks: MaskInput
    target: Tensor
    """float ``[B, 1 + T, 4g, 4g]``: share of each cell that shows nothing, then each label."""
    middles: Tensor
    """float ``[B, g, g]``."""
    judged: Tensor
    """bool ``[B, g, g]``: cells of the image, not of the padding."""


class SamMiStage:
    """Semantic training behind frozen encoders.

    Args:
        config: schedule.
        sampler: batches of labelled images.
        label_text: the texts of all names (and colours, which are not used here).
        names: of the classes.
        proposer: its encoders make features, its zero-training mode finds the masks.
        labels: how many labels a step compares at most. Their number is drawn: people ask for three as well as for a hundred.
        without: halves of the injection (keys of :data:`models.sam_mi.injection.GATES`) whose gates stay shut, for ablations.
    """

    name = "sam-mi"

    def __init__(
        self,
        config: StageConfig,
        sampler: BatchSource,
        label_text: LabelText,
        names: tuple[str, ...],
        proposer: Proposer,
        labels: int,
        without: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.sampler = sampler
        self.label_text = label_text
        self.question = ask(names, (), frozenset())
        self.proposer = proposer
        self.labels = labels
        self.shut = {gate for part in without for gate in GATES[part]}

    def parameter_groups(self, model: SamMi) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        return [([p for name, p in model.named_parameters() if name not in self.shut], 1.0)]

    def set_mode(self, model: SamMi) -> None:
        model.train()

    def loss(self, model: SamMi, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        lesson = self.lesson(model, self.sampler.batch(rng, self.config.batch_size), rng)
        logits = model(lesson.maps, lesson.text, lesson.masks).float()
        points = point_loss(model.point_logits(lesson.maps, lesson.text).float(), lesson.middles, lesson.judged)
        labels = label_loss(logits, lesson.target)
        return labels + POINT_WEIGHT * points, {**label_figures(logits, lesson.target), "point_loss": points.item()}

    @torch.no_grad()
    def lesson(self, model: SamMi, batch: SemanticBatch, rng: np.random.Generator) -> Lesson:
        """Features, masks and targets of a batch; nothing here learns."""
        encoders, compute = self.proposer.model, self.proposer.compute
        clip_image, sam_image = compute.upload(batch.clip_image), compute.upload(batch.sam_image)
        encoded = encoders.encode_images(clip_image, sam_image)
        sentence, _ = encoders.clip.encode_words(compute.upload(self.label_text.sample(rng)[: self.label_text.classes]))
        text = F.normalize(sentence.float(), dim=-1)
        # Regions, overlaps and thresholds are no matter of half precision.
        with in_float32(compute.device):
            images = [_one_image(encoded, row) for row in range(len(batch.labels))]
            embedding = model.config.sam_embedding
            found = [self._masks(image, size_hw, sam_embedding=embedding) for image, size_hw in zip(images, batch.sizes_hw, strict=True)]
            maps = stack_maps([image_maps for image_maps, _ in found])
            cost = cost_map(F.normalize(maps.features, dim=1), text)
            chosen = choose_labels(cost, batch.labels, int(rng.integers(self.labels)) + 1, rng)
        side = maps.features.shape[-1]
        return Lesson(
            maps,
            text[chosen.to(text.device)],
            roughen([masks for _, masks in found], rng),
            compute.upload(label_coverage(batch.labels, chosen, FINER * side)),
            compute.upload(middle_targets(listed(batch.labels, chosen), FINER * side, side)),
            compute.upload(torch.stack([_filled(size_hw, side, batch.labels.shape[-1]) for size_hw in batch.sizes_hw])),
        )

    def _masks(self, image: ImageFeatures, size_hw: tuple[int, int], *, sam_embedding: bool) -> tuple[ImageMaps, Tensor]:
        """The maps of one image and its joined masks, soft, float ``[M, 4g, 4g]``."""
        proposer = self.proposer
        frames = Frames.of(size_hw, proposer.model.config)
        look = proposer.look(image.clip_tokens, frames, self.question)
        masks = proposer.ask_sam(proposer.place_points(look, image, frames), image, frames)
        joined = proposer.join(masks, proposer.describe(masks, look), look, frames, join_things=True)
        return maps_of(image, frames, sam_embedding=sam_embedding), joined.masks.soft


def choose_labels(cost: Tensor, labels: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Which classes are compared in each image: most of those shown, then some that look alike, then some at random.

    Args:
        cost: cosines float ``[B, C, g, g]`` of all classes.
        labels: int64 ``[B, S, S]``, 0 for nothing, else 1 + number of the class.
        count: how many; of more than there are, all.
        rng: draws.

    Returns:
        numbers of classes int64 ``[B, T]``, ascending for each image.
    """
    strongest = cost.amax(dim=(2, 3)).argsort(dim=1, descending=True).cpu().numpy()
    return torch.from_numpy(np.stack([_choose(*one, count, rng) for one in zip(strongest, labels.numpy(), strict=True)]))


def _choose(
    by_strength: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    shown = np.unique(labels)
    shown = shown[shown > 0] - 1
    others = np.setdiff1d(by_strength, shown, assume_unique=True)
    named = rng.permutation(shown[rng.random(len(shown)) >= UNLISTED])[:count]
    missing = count - len(named)
    alike = others[: round(OBVIOUS_SHARE * missing)]
    drawn = rng.permutation(others[len(alike) :])[: missing - len(alike)]
    # Where there are too few others, those that were to stay unlisted fill the list.
    unlisted = np.setdiff1d(shown, named)[: missing - len(alike) - len(drawn)]
    return np.sort(np.concatenate([named, alike, drawn, unlisted]))


def listed(labels: Tensor, chosen: Tensor) -> Tensor:
    """Labels int64 ``[B, S, S]`` without those that are not among the image's chosen classes, int64 ``[B, T]``."""
    return torch.stack(
        [one.where(torch.isin(one, numbers + 1), torch.zeros_like(one)) for one, numbers in zip(labels, chosen, strict=True)]
    )


def roughen(masks: list[Tensor], rng: np.random.Generator) -> MaskInput:
    """Masks of several images as one batch, some dropped, some grown, shrunk or moved by a cell: they must help, not be believed."""
    kept = []
    for one in masks:
        stays = torch.from_numpy((rng.random(len(one)) >= DROPPED_MASKS) & (rng.random() >= DROPPED_IMAGES)).to(one.device)
        kept.append([_roughened(mask, rng) for mask in one[stays]])
    most = max(map(len, kept))
    side = masks[0].shape[-1]
    soft = masks[0].new_zeros(len(masks), most, side, side)
    valid = torch.zeros(len(masks), most, dtype=torch.bool, device=soft.device)
    for row, one_image in enumerate(kept):
        for place, mask in enumerate(one_image):
            soft[row, place], valid[row, place] = mask, True
    return MaskInput(soft, valid)


def _roughened(mask: Tensor, rng: np.random.Generator) -> Tensor:
    if rng.random() >= ROUGH_MASKS:
        return mask
    change = rng.integers(3)
    if change == 0:
        return F.max_pool2d(mask[None], 3, 1, 1)[0]
    if change == 1:
        return -F.max_pool2d(-mask[None], 3, 1, 1)[0]
    down, right = (int(step) for step in rng.integers(-1, 2, 2))
    return mask.roll((down, right), (0, 1))


def label_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Every label by itself, as in the base, and all labels and "nothing" against each other, as they will be compared.

    Args:
        logits: float ``[B, T, h, w]``.
        target: float ``[B, 1 + T, h, w]``, first the share that shows nothing.
    """
    alone = F.binary_cross_entropy_with_logits(logits, target[:, 1:])
    against_nothing = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
    together = F.cross_entropy(against_nothing, target)
    return len(target[0, 1:]) * alone + together


@torch.no_grad()
def label_figures(logits: Tensor, target: Tensor) -> dict[str, float]:
    """Shares of the cells with the right label: of those that show one, and of all."""
    best = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).argmax(dim=1)
    truth = target.argmax(dim=1)
    right = best == truth
    return {"label_accuracy": right[truth > 0].float().mean().item(), "cell_accuracy": right.float().mean().item()}


def _one_image(encoded: ImageFeatures, row: int) -> ImageFeatures:
    """One image of a batch, in full precision."""
    parts = (None if part is None else part[row : row + 1].float() for part in encoded.sam)
    return ImageFeatures(encoded.clip_tokens[row : row + 1].float(), SamFeatures(*parts))  # type: ignore[arg-type]  # the first is there


def _filled(size_hw: tuple[int, int], side: int, canvas: int) -> Tensor:
    filled = torch.zeros(side, side, dtype=torch.bool)
    filled[: -(-size_hw[0] * side // canvas), : -(-size_hw[1] * side // canvas)] = True
    return filled
