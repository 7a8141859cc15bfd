"""All steps from an image's features and a list of labels to proposals (spec section 1). This file only joins the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.devices import Compute
from models.preprocess import Letterbox, clip_letterbox, sam_letterbox
from models.proposals import ProposalOptions, Proposals, ProposalStages
from models.sam_mi.aggregation import Descriptors, JoinedMasks, aggregate, describe
from models.sam_mi.canvas import cells_to_image, image_cells, image_slices, resize
from models.sam_mi.correction import correct
from models.sam_mi.cost_map import Evidence, cost_map, dense_features, evidence
from models.sam_mi.label_text import LabelText
from models.sam_mi.listing import Candidate, classify, keep_best, list_masks, list_regions
from models.sam_mi.pixels import label_map, on_image, to_proposals
from models.sam_mi.presets import Preset
from models.sam_mi.question import Question, ask
from models.sam_mi.region_points import Points, Region, find_regions, points_in_regions
from models.sam_mi.sam_proposals import SamMasks, masks_at_points
from models.sam_mi.vote import vote
from models.semantic_metrics import LabelMap
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.model import ImageFeatures, SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer

FINER = 4
"""Maps have this many times the cells of CLIP's patches along a side; points are placed on half as many."""


class Frames(NamedTuple):
    """Where the image lies on the canvas of each network."""

    clip: Letterbox
    sam: Letterbox

    @classmethod
    def of(cls, size_hw: tuple[int, int], config: SspSamConfig) -> Frames:
        """Those of an image of that height and width."""
        clip = clip_letterbox(size_hw, config.clip.image_size, config.clip.letterbox)
        return cls(clip, sam_letterbox(size_hw, config.sam.image_size))


class Look(NamedTuple):
    """What the words see of one image."""

    question: Question
    text: Tensor
    """float ``[C, E]`` of length 1: names, then rivals."""
    dense: Tensor
    """float ``[E, g, g]`` of length 1."""
    cost: Tensor
    """float ``[C, g, g]``: cosines."""
    words: Evidence
    regions: list[Region]
    stuff: Tensor
    """bool ``[T + 1]``: names that cannot be counted; ``nothing``, the last, is one."""


class Proposer:
    """Answers lists of labels with CLIP and SAM, without any training of its own (spec section 7). Holds no state of any image.

    Args:
        model: gives CLIP and SAM.
        tokenizer: of the model.
        preset: thresholds that suit the model.
        compute: where and how precisely; the model is there already.
    """

    def __init__(self, model: SspSam, tokenizer: PhraseTokenizer, preset: Preset, compute: Compute) -> None:
        self.model = model
        self.preset = preset
        self.compute = compute
        self._text = LabelText(model.clip, tokenizer, preset, compute)

    def propose(
        self, features: ImageFeatures, frames: Frames, labels: Sequence[str], background: Sequence[str], options: ProposalOptions
    ) -> Proposals:
        """Everything that the labels name on one image; see :class:`models.proposals.ProposingEngine`.

        Args:
            features: of the image.
            frames: where it lies on the canvases.
            labels: what is asked for.
            background: what competes besides the preset's own background.
            options: thresholds and caps.
        """
        watch = _Watch()
        look = self.look(features.clip_tokens, frames, ask(labels, (*background, *self.preset.background_words), options.stuff))
        watch.lap("cost_map")
        points = self.place_points(look, features, frames)
        watch.lap("points")
        masks = self.ask_sam(points, features, frames)
        watch.lap("sam_decoder")
        seen = self.describe(masks, look)
        joined = self.join(masks, seen, look, frames, join_things=True)
        watch.lap("aggregation")
        final = self.refine(look, joined, features, frames)
        watch.lap("refinement")
        objects = self.join(masks, seen, look, frames, join_things=False)
        chosen = self._choose(objects, final, look, options)
        asked = cells_to_image(points.cells, frames.clip, points.marked.shape[-1])
        proposals = to_proposals(chosen, look.question, asked[masks.point.cpu().numpy()], frames.clip)
        found = self.label_pixels(final, joined, look, frames) if options.label_map else None
        watch.lap("pixels")
        return Proposals(look.question.labels, found, proposals, _stages(look, masks, joined, asked, frames.clip, watch.seconds))

    def look(self, clip_tokens: Tensor, frames: Frames, question: Question) -> Look:
        """Compare every patch with every name; tokens of one image, float ``[1, 1 + g * g, E]``."""
        dense = F.normalize(dense_features(clip_tokens), dim=1)
        text = self._text([*question.names, *question.rivals])
        cost = cost_map(dense, text)[0]
        side = FINER * cost.shape[-1]
        words = self._compete(resize(cost, side), question)
        regions = find_regions(words, frames.clip, side // 2, self.preset)
        return Look(question, text, dense[0], cost, words, regions, torch.tensor([*question.is_stuff, True], device=self.compute.device))

    def place_points(self, look: Look, features: ImageFeatures, frames: Frames) -> Points:
        """Where SAM is asked."""
        return points_in_regions(look.regions, frames.clip, look.words.nothing.shape[-1] // 2, self.preset)

    def refine(self, look: Look, joined: JoinedMasks, features: ImageFeatures, frames: Frames) -> Evidence:
        """What the words see once the masks have had their say."""
        return correct(look.words, joined.masks, self.preset.correction)

    def ask_sam(self, points: Points, features: ImageFeatures, frames: Frames) -> SamMasks:
        """SAM's masks at the points, as fine as the words' map."""
        side = 2 * points.marked.shape[-1]
        scale = np.array(frames.sam.resized_hw[::-1]) / np.array(frames.sam.original_hw[::-1])
        coordinates = cells_to_image(points.cells, frames.clip, points.marked.shape[-1]) * scale
        marked = resize(torch.from_numpy(points.marked).float().to(self.compute.device), side) > 0.5
        sam_points = torch.from_numpy(coordinates).float().to(self.compute.device)
        return masks_at_points(self.model.sam, features.sam, sam_points, marked, frames, side, self.preset, self.compute)

    def describe(self, masks: SamMasks, look: Look) -> Descriptors:
        """What features and words say of each mask."""
        return describe(masks.hard, look.dense, torch.cat([look.words.labels, look.words.nothing.unsqueeze(0)]))

    def join(self, masks: SamMasks, seen: Descriptors, look: Look, frames: Frames, *, join_things: bool) -> JoinedMasks:
        """SAM's fragments, aggregated; see :func:`models.sam_mi.aggregation.aggregate`."""
        inside = image_cells(frames.clip, masks.logits.shape[-1]).to(self.compute.device)
        return aggregate(masks, seen, look.stuff, inside, self.preset, join_things=join_things)

    def label_pixels(self, final: Evidence, joined: JoinedMasks, look: Look, frames: Frames) -> LabelMap:
        """The label of every pixel, masks that agree as a whole."""
        seen = label_map(final, look.question.place, frames.clip)
        agreement = self.preset.mask_agreement
        return seen if agreement is None else vote(joined.masks, seen, seen, frames.clip, agreement)

    def _choose(self, objects: JoinedMasks, final: Evidence, look: Look, options: ProposalOptions) -> list[Candidate]:
        label, value = classify(objects, final, self._similarity(objects, look))
        found = list_masks(objects, label, value, look.stuff)
        found += list_regions(look.regions, look.words, found, look.stuff)
        floor = self.preset.score if options.min_score is None else options.min_score
        return keep_best(found, self.preset, min_score=floor, most=options.max_proposals)

    def _similarity(self, objects: JoinedMasks, look: Look) -> Tensor:
        """Probability float ``[M', T + 1]`` of each name by the features of each mask as a whole."""
        pooled = describe(objects.masks.hard, look.dense, look.words.labels).feature
        # The masks stand where cells stood: M' of them in one column.
        cosine = (look.text @ pooled.T).unsqueeze(-1)
        seen = self._compete(cosine, look.question)
        return torch.cat([seen.labels, seen.nothing.unsqueeze(0)]).squeeze(-1).T

    def _compete(self, cost: Tensor, question: Question) -> Evidence:
        scale = self.preset.temperature or float(self.model.clip.logit_scale.exp().clamp(max=100))
        return evidence(cost, len(question.names), temperature=scale, background_cosine=self.preset.background_cosine)


class _Watch:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now


def _stages(
    look: Look, masks: SamMasks, joined: JoinedMasks, asked: npt.NDArray[np.float64], letterbox: Letterbox, seconds: dict[str, float]
) -> ProposalStages:
    cells = image_slices(letterbox, look.words.nothing.shape[-1])
    label, confidence = look.words.best()
    places = np.array([*look.question.place, -1])  # -1, the last: nothing
    return ProposalStages(
        cost_labels=(places[on_image(label, cells)] + 1).astype(np.int32),
        cost_confidence=on_image(confidence, cells),
        points=asked,
        sam_masks=on_image(masks.hard, cells),
        joined_masks=on_image(joined.masks.hard, cells),
        seconds=seconds,
    )
