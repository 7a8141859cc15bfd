"""The stage in which CLIP learns names and colours, patch by patch.

Every patch that an object covers must be closest to the text of the object's name among all names, and, where the object has one, to the
word of its colour among all colours; patches of the background must be far from every name. The text tower learns along, in the words
people vary: articles, plurals, synonyms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.batches import IGNORED, SceneBatch, SceneSampler
from models.training.loop import StageConfig

BACKGROUND_COSINE = 0.3
"""A patch whose best cosine with any name stays below this is background: the "no name" logit of the loss."""
BACKGROUND_WEIGHT = 0.15
"""Most patches are background; at full weight they would drown the names."""
COLOUR_WEIGHT = 0.3


class ClipStage:
    """Dense contrastive training of both towers.

    Whether something purple is one of the classes that no purple thing of training is, is not asked, nor whether one of these is purple
    (:func:`asked_only`). A network that is told so concludes that what is purple is no truck. What an object of two hues shows here and
    there is asked: a truck may be purple in part.

    Args:
        config: schedule.
        sampler: batches of scenes with patch labels, in many colours.
        label_text: the texts of all names and colours.
        kept_apart: bool ``[colours, classes]``.
    """

    name = "clip"

    def __init__(self, config: StageConfig, sampler: SceneSampler, label_text: LabelText, kept_apart: Tensor) -> None:
        self.config = config
        self.sampler = sampler
        self.label_text = label_text
        self.kept_apart = kept_apart

    def parameter_groups(self, model: SspSam) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        return [(list(model.clip.parameters()), 1.0)]

    def set_mode(self, model: SspSam) -> None:
        model.eval()
        model.clip.train()

    def loss(self, model: SspSam, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = self.sampler.batch(rng, self.config.batch_size)
        tokens = model.clip.encode_patches(batch.clip_image)
        return patch_text_loss(model, tokens[:, 1:], batch, self.label_text.sample(rng), self.kept_apart)


class LabelText:
    """The texts of all names and colours, as token ids.

    Args:
        names: for every class, the ways to say it.
        colours: for every colour, the ways to say it.
        tokenizer: of the model.
    """

    templates = ("{}", "{}", "the {}", "a {}")

    def __init__(self, names: Sequence[Sequence[str]], colours: Sequence[Sequence[str]], tokenizer: PhraseTokenizer) -> None:
        self._choices = [
            torch.stack([tokenizer([template.format(way)])[0] for way in ways for template in self.templates])
            for ways in [*names, *colours]
        ]
        self.classes = len(names)
        longest = max(int((ids != 0).sum(dim=1).max()) for ids in self._choices)
        # CLIP's text tower is causal, so padding behind the end token changes nothing and can be cut here.
        self._choices = [ids[:, :longest] for ids in self._choices]

    def sample(self, rng: np.random.Generator) -> Tensor:
        """int64 ``[classes + colours, T]``."""
        return torch.stack([ids[rng.integers(len(ids))] for ids in self._choices])

    def plain(self) -> Tensor:
        """int64 ``[classes + colours, T]``: the first way to say each."""
        return torch.stack([ids[0] for ids in self._choices])


def patch_text_loss(
    model: SspSam, patches: Tensor, batch: SceneBatch, label_ids: Tensor, kept_apart: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """The loss of these stages, also kept up as a side loss by others.

    Args:
        model: its text tower encodes the labels.
        patches: float ``[B, N, E]``.
        batch: holds the patch labels.
        label_ids: int64 ``[classes + colours, T]`` of :class:`LabelText`.
        kept_apart: bool ``[colours, classes]``: a patch of a colour says nothing about these classes, nor one of a class about these
            colours, as training has none such. Parts of objects that have no colour as a whole say something about all.
    """
    cosine, scale = label_cosines(model, patches, label_ids)
    classes = len(label_ids) - batch.colour_count
    target = batch.patch_class.flatten()
    colour, part_colour = batch.patch_colour.flatten(), batch.part_colour.flatten()
    has_colour = colour >= 0
    colour_target = colour.where(has_colour, part_colour)
    on_object = (target >= 0) & (target < classes)
    names, colours = cosine[:, :classes], cosine[:, classes:]
    names = asked_only(names, kept_apart, colour, has_colour, target)
    colours = asked_only(colours, kept_apart.T, target, on_object & has_colour, colour)
    name_loss, name_logits = naming_loss(names, scale, target)
    colour_loss = F.cross_entropy(scale * colours, colour_target, ignore_index=IGNORED)
    with torch.no_grad():
        accuracy = (name_logits.argmax(dim=1) == target)[on_object].float().mean()
        coloured = colour_target >= 0
        colour_accuracy = (cosine[:, classes:].argmax(dim=1) == colour_target)[coloured].float().mean()
    figures = {"name_accuracy": accuracy.item(), "colour_accuracy": colour_accuracy.item(), "name_loss": name_loss.item()}
    return name_loss + COLOUR_WEIGHT * colour_loss, figures


def label_cosines(model: SspSam, patches: Tensor, label_ids: Tensor) -> tuple[Tensor, Tensor]:
    """How near patches and labels are in CLIP's joint space.

    Args:
        model: its text tower encodes the labels.
        patches: float ``[B, N, E]``.
        label_ids: int64 ``[L, T]``.

    Returns:
        cosines float ``[B * N, L]``, and CLIP's factor that makes logits of them.
    """
    sentence, _ = model.clip.encode_words(label_ids)
    directions = F.normalize(sentence.float(), dim=-1)
    scale: Tensor = model.clip.logit_scale.exp().clamp(max=100)
    return F.normalize(patches.float(), dim=-1).flatten(0, 1) @ directions.T, scale


def asked_only(cosine: Tensor, kept_apart: Tensor, given: Tensor, is_given: Tensor, own: Tensor) -> Tensor:
    """Cosines from which nobody learns what goes with what.

    Args:
        cosine: float ``[n, L]``: names, or colours.
        kept_apart: bool ``[M, L]``: which of them training never joins with which of the others.
        given: int64 ``[n]``: which of the others a patch has.
        is_given: bool ``[n]``: whether it has one.
        own: int64 ``[n]``: its name, or colour. It is asked in any case: a cactus is green by itself, whatever is kept apart.

    Returns:
        float ``[n, L]``: -1, as far as can be, where a patch need be neither near nor far.
    """
    not_asked = kept_apart[given.where(is_given, 0)] & is_given.unsqueeze(1)
    is_own = torch.arange(cosine.shape[1], device=own.device) == own.unsqueeze(1)
    return cosine.masked_fill(not_asked & ~is_own, -1.0)


def naming_loss(cosine: Tensor, scale: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Every patch must be nearest to its own name, or farther from all names than :data:`BACKGROUND_COSINE`.

    Args:
        cosine: float ``[n, C]``.
        scale: CLIP's factor.
        target: int64 ``[n]``: number of the name, C for background, :data:`IGNORED` for what is not known.

    Returns:
        the loss, and logits float ``[n, C + 1]``.
    """
    classes = cosine.shape[1]
    background = cosine.new_full((len(cosine), 1), BACKGROUND_COSINE)
    logits = scale * torch.cat([cosine, background], dim=1)
    weight = torch.ones(classes + 1, device=cosine.device)
    weight[classes] = BACKGROUND_WEIGHT
    return F.cross_entropy(logits, target, weight=weight, ignore_index=IGNORED), logits
