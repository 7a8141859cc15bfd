"""SAM-MI's network learns the labels of a data set behind the fine-tuned encoders, where the base has such a network."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models.devices import Compute
from models.finetuning.examples import Example
from models.finetuning.lessons import words_of_labels
from models.finetuning.request import FineTuneConfig
from models.masks import coco_rle_to_mask
from models.preprocess import Letterbox, clip_image, clip_letterbox, sam_image, sam_letterbox
from models.sam_mi.presets import preset_for
from models.sam_mi.proposer import Proposer
from models.ssp_sam.config import SspSamConfig
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.clip_stage import LabelText
from models.training.loop import StageConfig
from models.training.sam_mi_stage import SamMiStage
from models.training.semantic_batches import SemanticBatch

COMPARED_LABELS = 16
"""Most labels of an image in a step, as when the network was made."""


class LabelledExamples:
    """Draws examples as :class:`models.training.semantic_batches.SemanticSampler` draws scenes; what has no label shows nothing.

    Args:
        examples: with labelled masks.
        labels: in the order of their numbers.
        config: of the encoders.
    """

    def __init__(self, examples: Sequence[Example], labels: Sequence[str], config: SspSamConfig) -> None:
        self._examples, self._config = examples, config
        self._number = {label: number for number, label in enumerate(labels, start=1)}

    def batch(self, rng: np.random.Generator, size: int) -> SemanticBatch:
        """``size`` of the examples."""
        chosen = [self._examples[int(number)] for number in rng.integers(len(self._examples), size=size)]
        sam_side = self._config.sam.image_size
        clip_images, sam_images, sizes = [], [], []
        for example in chosen:
            image, size_hw = example.image(), example.sample.size_hw
            clip_images.append(clip_image(image, self._frame(example)))
            sam_images.append(sam_image(image, sam_letterbox(size_hw, sam_side)))
            sizes.append(self._frame(example).resized_hw)
        labels = torch.from_numpy(np.stack([self._labels(example) for example in chosen]))
        return SemanticBatch(torch.stack(clip_images), torch.stack(sam_images), labels, tuple(sizes))

    def _frame(self, example: Example) -> Letterbox:
        clip = self._config.clip
        return clip_letterbox(example.sample.size_hw, clip.image_size, clip.letterbox)

    def _labels(self, example: Example) -> npt.NDArray[np.int64]:
        frame = self._frame(example)
        height, width = frame.resized_hw
        canvas = np.zeros((frame.side, frame.side), np.int64)
        inside = canvas[frame.top : frame.top + height, frame.left : frame.left + width]
        for target in example.sample.targets:
            if target.rle is not None and target.label in self._number:
                mask = example.view.mask(coco_rle_to_mask(target.rle)).astype(np.uint8)
                inside[cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)] = self._number[target.label]
        return canvas


def label_list_stage(
    config: FineTuneConfig, examples: Sequence[Example], model: SspSam, tokenizer: PhraseTokenizer, compute: Compute, *, bfloat16: bool
) -> SamMiStage | None:
    """The stage of :mod:`models.training.sam_mi_recipe` on examples; ``None`` where none of them has two labels to tell apart.

    Args:
        config: length, and the size of a batch.
        examples: that teach.
        model: fine-tuned; frozen from here on.
        tokenizer: of the model.
        compute: where and how precisely the encoders run.
        bfloat16: whether products of the network run in bf16.
    """
    words = words_of_labels(examples)
    labelled = [one for one in examples if any(target.label in words and target.rle is not None for target in one.sample.targets)]
    if len(words) < 2 or not labelled:
        return None
    stage = StageConfig(
        steps=config.label_steps,
        batch_size=config.batch_size,
        learning_rate=config.label_rate,
        warmup_steps=max(1, config.label_steps // 10),
        bfloat16=bfloat16,
    )
    proposer = Proposer(model, tokenizer, preset_for(model.config.name), compute)
    text = LabelText([(word,) for word in words.values()], [], tokenizer)
    sampler = LabelledExamples(labelled, tuple(words), model.config)
    return SamMiStage(stage, sampler, text, tuple(words), proposer, min(COMPARED_LABELS, len(words)))
