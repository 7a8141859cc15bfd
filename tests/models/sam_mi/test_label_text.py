"""Labels as directions: what is left out to be quick changes nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from models.devices import Compute
from models.sam_mi.label_text import LabelText
from models.sam_mi.presets import PLAIN_TEMPLATES, tiny_preset
from tests.models.sam_mi.networks import TOKENIZER, encoders

LABELS = ["cat", "a house behind the tree and a car", "dog"]


def test_a_label_has_the_same_direction_as_with_all_its_padding():
    clip = encoders().clip
    short = LabelText(clip, TOKENIZER, tiny_preset(), Compute(torch.device("cpu"), torch.float32))(LABELS)
    for label, direction in zip(LABELS, short, strict=True):
        ids = TOKENIZER([template.format(label) for template in PLAIN_TEMPLATES])
        assert ids.shape[1] == TOKENIZER.context_length
        sentences = F.normalize(clip.encode_words(ids)[0], dim=-1)
        torch.testing.assert_close(direction, F.normalize(sentences.mean(dim=0), dim=-1), atol=1e-5, rtol=0)


def test_no_label_has_no_direction():
    assert LabelText(encoders().clip, TOKENIZER, tiny_preset(), Compute(torch.device("cpu"), torch.float32))([]).shape[0] == 0
