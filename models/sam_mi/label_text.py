"""Label strings -> directions in CLIP's joint space, encoded once each (spec 5.3, 7.2)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor

from models.devices import Compute
from models.sam_mi.presets import PLAIN_TEMPLATES, Preset
from models.ssp_sam.clip_surgery import SurgeryClip
from models.ssp_sam.tokenizer import PhraseTokenizer

REMEMBERED = 4096
"""Labels whose directions are kept."""
ENCODED_AT_ONCE = 64
"""Sentences in one batch of the text tower."""


class LabelText:
    """Directions of labels. Safe to share between threads.

    Args:
        clip: its text tower encodes.
        tokenizer: of the model.
        preset: which sentences a label is put into.
        compute: where and how precisely.
    """

    def __init__(self, clip: SurgeryClip, tokenizer: PhraseTokenizer, preset: Preset, compute: Compute) -> None:
        self._clip = clip
        self._tokenizer = tokenizer
        self._templates = _templates(preset)
        self._compute = compute
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, labels: Sequence[str]) -> Tensor:
        """float ``[T, E]`` of length 1, one row per label; ``T`` may be 0."""
        with self._lock:
            known = {label: self._known[label] for label in labels if label in self._known}
        missing = [label for label in dict.fromkeys(labels) if label not in known]
        known |= zip(missing, self._encode(missing), strict=True)
        with self._lock:
            for label in missing:
                self._known[label] = known[label]
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if not labels:
            return torch.zeros(0, self._clip.text_projection.shape[1], device=self._compute.device)
        return torch.stack([known[label] for label in labels])

    def _encode(self, labels: Sequence[str]) -> list[Tensor]:
        sentences = [template(label) for label in labels for template in self._templates]
        batches = [sentences[start : start + ENCODED_AT_ONCE] for start in range(0, len(sentences), ENCODED_AT_ONCE)]
        with self._compute.autocast():
            parts = [self._clip.encode_words(self._compute.upload(_cut(self._tokenizer(batch))))[0].float() for batch in batches]
        if not parts:
            return []
        directions = F.normalize(torch.cat(parts), dim=-1).reshape(len(labels), len(self._templates), -1)
        return list(F.normalize(directions.mean(dim=1), dim=-1))


def _cut(ids: Tensor) -> Tensor:
    """Ids int64 ``[K, T]`` up to the last end token, the largest id. No token sees those behind it, and labels are short."""
    return ids[:, : int(ids.argmax(dim=1).max()) + 1]


def tidy(label: str) -> str:
    """What two spellings of one label have in common: case and spaces do not count."""
    return " ".join(label.casefold().split())


def _templates(preset: Preset) -> list[Callable[[str], str]]:
    if preset.templates == "plain":
        return [template.format for template in PLAIN_TEMPLATES]
    # The tokenizer ends every phrase with a full stop itself.
    return [_without_stop(make) for make in OPENAI_IMAGENET_TEMPLATES]


def _without_stop(make: Callable[[str], str]) -> Callable[[str], str]:
    return lambda label: make(label).removesuffix(".")
