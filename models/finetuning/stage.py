"""The stage that :mod:`models.training.loop` steps through when it fine-tunes: what learns, on what, by which loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from models.data.sample import Expression
from models.finetuning.encoders import SplitEncoders
from models.finetuning.examples import Example
from models.finetuning.lessons import Lesson, Sampler
from models.finetuning.low_rank import add_adapters
from models.finetuning.objectives import Objective, Shares, pointing_objective, published_objective
from models.finetuning.request import FineTuneConfig
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.model import SspSam, trainable_head
from models.training.clip_stage import label_cosines, naming_loss
from models.training.hardware import Hardware
from models.training.loop import StageConfig, TrainedGroup
from models.training.prompt_stage import text_tower

WARMUP_SHARE = 0.05
"""Of the steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedSchedule(StageConfig):
    """The paper's learning rate (spec 5.2): warm-up over five of eighty epochs, and a cosine that the warm-up does not shift."""

    epochs: ClassVar[int] = 80
    warmup_epochs: ClassVar[int] = 5
    lowest: ClassVar[float] = 0.01
    """Of the learning rate; where warm-up begins and the cosine ends."""

    def learning_rate_factor(self, step: int) -> float:
        """Share of the learning rate, the same throughout one of eighty equal parts of the training."""
        epoch = step * self.epochs // self.steps
        if epoch < self.warmup_epochs:
            return self.lowest + (1 - self.lowest) * epoch / self.warmup_epochs
        return self.lowest + (1 - self.lowest) * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


class FineTuneStage:
    """Learns from samples, with whatever the encoders' frozen trunk made of each image.

    Args:
        config: what was asked for.
        model: has adapters from here on.
        sampler: draws lessons.
        encoders: give features; their tail gets the adapters.
        hardware: which part of each batch is this process's.
        bfloat16: whether products run in bf16.
    """

    name = "finetune"

    def __init__(
        self,
        config: FineTuneConfig,
        model: SspSam,
        sampler: Sampler,
        encoders: SplitEncoders,
        hardware: Hardware,
        *,
        bfloat16: bool,
    ) -> None:
        self.config = schedule_of(config, bfloat16=bfloat16)
        self._asked, self._sampler, self._encoders, self._hardware = config, sampler, encoders, hardware
        self._objective = objective_of(config, model.config)
        self._adapters = add_adapters(encoders.tail, config.low_rank) if config.low_rank else []

    def parameter_groups(self, model: SspSam) -> Iterable[TrainedGroup]:
        """Head, adapters, words, and late the mask decoder."""
        asked = self._asked
        extras = {id(one) for one in (model.published_extras.parameters() if model.published_extras is not None else ())}
        groups = [
            TrainedGroup([one for one in trainable_head(model) if id(one) not in extras], 1.0),
            TrainedGroup(self._adapters, asked.low_rank_rate),
            TrainedGroup(text_tower(model), asked.text_rate),
            TrainedGroup(list(model.sam.mask_decoder.parameters()), asked.decoder_rate, round(asked.decoder_from * asked.steps)),
        ]
        return [group for group in groups if group.rate_factor > 0]

    def set_mode(self, model: SspSam) -> None:
        """Dropout in the head alone: the encoders' statistics stay."""
        model.train()
        model.clip.visual.eval()
        model.sam.image_encoder.eval()

    def loss(self, model: SspSam, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Of this process's part of a batch."""
        batch = self._sampler.draw(rng)
        own = batch[self._hardware.rank :: self._hardware.processes]
        lesson = self._sampler.lesson(own)
        shares = self._shares(batch, lesson)
        lesson = lesson.to(self._hardware.device)
        features = self._encoders.features([self._encoders.trunk(example.key, example.image) for example, _ in own])
        prediction = model.decode(features.select(lesson.image), model.encode_phrases(lesson.ids))
        loss, figures = self._objective(prediction, lesson, model.config.clip.grid, shares)
        if self._asked.naming > 0:
            naming, accuracy = self._naming(model, features.clip_tokens[:, 1:], lesson.names.flatten())
            loss, figures = loss + shares.named * self._asked.naming * naming, {**figures, "name_accuracy": accuracy}
        return loss, figures

    def _naming(self, model: SspSam, patches: Tensor, target: Tensor) -> tuple[Tensor, float]:
        """The loss of the recipe's first stage, on the patches of labelled regions; background says nothing here."""
        shown = target >= 0
        if not shown.any():
            return patches.sum() * 0, float("nan")
        cosine, scale = label_cosines(model, patches, self._sampler.name_ids.to(patches.device))
        loss, logits = naming_loss(cosine[shown], scale, target[shown])
        return loss, (logits.argmax(dim=1) == target[shown]).float().mean().item()

    def _shares(self, batch: Sequence[tuple[Example, Sequence[Expression]]], own: Lesson) -> Shares:
        """Every process draws the same batch, so each knows how much of it is its own without asking."""
        processes = self._hardware.processes
        if processes == 1:
            return Shares()
        whole = self._sampler.lesson(batch)

        def share(kind: Callable[[Lesson], Tensor]) -> float:
            return processes * int(kind(own).sum()) / max(1, int(kind(whole).sum()))

        return Shares(
            every=share(lambda lesson: torch.ones_like(lesson.has_target)),
            drawn=share(lambda lesson: lesson.has_target & ~lesson.is_weak),
            weak=share(lambda lesson: lesson.has_target & lesson.is_weak),
            target=share(lambda lesson: lesson.has_target),
            judged=share(lambda lesson: ~lesson.is_weak),
            named=share(lambda lesson: lesson.names >= 0),
        )


def schedule_of(config: FineTuneConfig, *, bfloat16: bool) -> StageConfig:
    """The loop's part of what was asked for."""
    kind = PublishedSchedule if config.schedule == "published" else StageConfig
    return kind(
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=max(1, round(WARMUP_SHARE * config.steps)),
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        bfloat16=bfloat16,
    )


def objective_of(config: FineTuneConfig, network: SspSamConfig) -> Objective:
    """The losses that were asked for; ``auto``: those that the network was made with."""
    if config.objective == "auto":
        return pointing_objective if network.head.presence else published_objective
    return {"pointing": pointing_objective, "published": published_objective}[config.objective]
