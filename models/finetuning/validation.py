"""Measuring between epochs, on kept features and SAM's mask canvas; the best epoch counts, and too many worse ones are the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.devices import Compute
from models.finetuning.encoders import SplitEncoders
from models.finetuning.examples import Example
from models.finetuning.lessons import Meanings, bounds
from models.finetuning.request import FineTuneConfig
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import Prediction, SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.hardware import Hardware
from models.version_folder import CurvePoint, fair_mean

MOST_IMAGES = 64
"""Measured between epochs; the scores of a version are of all images."""
DECODED_AT_ONCE = 32
FEWEST_TO_CHOOSE = 100
"""Expressions that refer to something; with fewer, the best of several epochs is the luckiest, and the last one, with the smallest steps,
the better choice."""


class Judged(NamedTuple):
    """One expression, before the decision whether it refers to anything."""

    presence: float
    mask_iou: float
    """Of the mask, if it is shown."""
    is_nothing: bool
    """Whether it does refer to nothing."""

    def iou(self, threshold: float) -> float:
        """After the decision."""
        return self.mask_iou if self.presence >= threshold else float(self.is_nothing)


def sums_of(judged: Sequence[Judged], threshold: float) -> tuple[tuple[float, int], tuple[float, int]]:
    """What :func:`models.version_folder.fair_mean` takes."""
    kinds = [[one.iou(threshold) for one in judged if one.is_nothing == is_nothing] for is_nothing in (False, True)]
    return (sum(kinds[0]), len(kinds[0])), (sum(kinds[1]), len(kinds[1]))


class Validation:
    """Mean IoU over the expressions of some examples.

    Args:
        examples: that measure; the first of them where there are many.
        encoders: give features, adapters included.
        meanings: of the expressions.
        tokenizer: of the model.
        thresholds: when a phrase counts as answered.
        compute: where and how precisely.
        hardware: each process measures its part of the examples.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        encoders: SplitEncoders,
        meanings: Meanings,
        tokenizer: PhraseTokenizer,
        thresholds: Thresholds,
        compute: Compute,
        hardware: Hardware,
    ) -> None:
        self._examples = examples[:MOST_IMAGES][hardware.rank :: hardware.processes]
        self._encoders, self._meanings, self._tokenizer = encoders, meanings, tokenizer
        self._thresholds, self._compute, self._hardware = thresholds, compute, hardware

    def __call__(self, model: SspSam) -> float:
        """Measure; the model is in evaluation mode afterwards."""
        something, nothing = sums_of(self.judged(model), self._thresholds.presence)
        right, count, right_nothing, count_nothing = self._hardware.sum(torch.tensor([*something, *nothing], dtype=torch.float64)).tolist()
        return fair_mean((right, int(count)), (right_nothing, int(count_nothing)))

    def judged(self, model: SspSam) -> list[Judged]:
        """Every expression of this process's examples; the model is in evaluation mode afterwards."""
        return [one for example in self._examples for one in self._judged(model, example)]

    def _judged(self, model: SspSam, example: Example) -> list[Judged]:
        said = example.sample.expressions
        found: list[Judged] = []
        model.eval()
        with torch.inference_mode(), self._compute.autocast():
            features = self._encoders.features([self._encoders.trunk(example.key, example.image)])
            for start in range(0, len(said), DECODED_AT_ONCE):
                batch = said[start : start + DECODED_AT_ONCE]
                ids = self._compute.upload(self._tokenizer([one.text for one in batch]))
                prediction = model.decode(features.repeat(len(batch)), model.encode_phrases(ids))
                masks = (model.mask_logits(prediction.low_res_logits) >= 0).cpu()
                presence = presence_of(prediction, masks, model.config.empty_mask_pixels).tolist()
                for mask, is_there, one in zip(masks, presence, batch, strict=True):
                    meaning = self._meanings.of(example, one)
                    found.append(Judged(is_there, canvas_iou(mask, meaning.mask >= 0.5, is_weak=meaning.is_weak), not meaning.mask.any()))
        return found


def presence_of(prediction: Prediction, masks: Tensor, empty_mask_pixels: float) -> Tensor:
    """How sure the network is that there is something, 0..1, ``[K]``; without a presence head the size of its mask says it (spec 4.7)."""
    if prediction.presence is not None:
        return prediction.presence.sigmoid()
    return (masks.sum(dim=(1, 2)) >= empty_mask_pixels).float()


def canvas_iou(mask: Tensor, truth: Tensor, *, is_weak: bool) -> float:
    """IoU of two bool ``[M, M]``; 1 where both are empty. Where only boxes are known, the mask's box is compared with them."""
    if is_weak and mask.any():
        x0, y0, x1, y1 = map(int, bounds(mask.numpy()))
        mask = torch.zeros_like(mask)
        mask[y0:y1, x0:x1] = True
    union = int((mask | truth).sum())
    return int((mask & truth).sum()) / union if union else 1.0


class BestEpoch:
    """The loop's watch: measures after each epoch, remembers the best weights, and knows when it is enough.

    Args:
        config: length of an epoch, and patience.
        measure: gives a network's figure; more is better.
        can_choose: whether enough is measured to tell epochs apart; if not, the last one counts.
    """

    def __init__(self, config: FineTuneConfig, measure: Callable[[SspSam], float], *, can_choose: bool = True) -> None:
        self._config, self._measure, self._can_choose = config, measure, can_choose
        self.curve: list[CurvePoint] = []
        self.best: dict[str, Tensor] = {}
        """Trained tensors of the best epoch, in main memory."""
        self._losses: list[float] = []

    @property
    def is_done(self) -> bool:
        """Whether the last epochs, as many as patience allows, brought nothing better."""
        if not self.curve or not self._can_choose:
            return False
        figures = [point.validation for point in self.curve]
        return len(figures) - 1 - int(np.argmax(figures)) >= self._config.patience

    def after_step(self, model: nn.Module, done: int, figures: Mapping[str, float]) -> dict[str, float]:
        """See :class:`models.training.loop.Watch`."""
        self._losses.append(figures["loss"])
        if done % self._config.validate_every and done != self._config.steps:
            return {}
        assert isinstance(model, SspSam)
        validation = self._measure(model)
        if not self._can_choose or validation > max((point.validation for point in self.curve), default=-math.inf):
            trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
            self.best = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items() if name in trained}
        self.curve.append(CurvePoint(len(self.curve) + 1, round(float(np.mean(self._losses)), 4), round(validation, 4)))
        self._losses = []
        return {"validation": validation}

    def restore_best(self, model: SspSam) -> None:
        """Give a network the weights of the best epoch."""
        model.load_state_dict(self.best, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`models.training.loop.Watch`."""
        return {"curve": [asdict(point) for point in self.curve], "best": self.best, "losses": self._losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`models.training.loop.Watch`."""
        self.curve = [CurvePoint(**point) for point in state["curve"]]
        self.best, self._losses = dict(state["best"]), list(state["losses"])
