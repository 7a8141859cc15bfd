"""SAM-MI's network learns through the same door, where the base has one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models import DatasetFolder, ProposingEngine, fine_tune, load_engine
from models.finetuning.examples import Example, read_examples
from models.finetuning.label_lists import LabelledExamples
from models.finetuning.scores import score_engine
from models.sam_mi.config import tiny as tiny_network
from models.sam_mi.weights import PREFIX, write_joined_folder
from models.ssp_sam.config import contract, tiny
from models.ssp_sam.model import SspSam
from models.weights_folder import open_weights_folder
from tests.factories import FakeProposingEngine
from tests.models.finetuning.world import COLOURS, QUICK, SIDE, request_for, write_base, write_dataset
from tests.models.sam_mi.networks import eager, random_network


def test_a_label_lies_on_clips_canvas_where_its_region_does(tmp_path: Path) -> None:
    examples = read_examples(DatasetFolder(write_dataset(tmp_path / "data", training=1, validation=0)))
    batch = LabelledExamples(examples, list(COLOURS), contract()).batch(np.random.default_rng(0), 2)
    canvas = contract().clip.image_size
    assert batch.labels.shape == (2, canvas, canvas)
    for target in examples[0].sample.targets:
        mask = examples[0].sample.mask_of([target.id])
        shown = batch.labels[0] == 1 + list(COLOURS).index(target.label)
        assert shown.sum() == pytest.approx(mask.sum() * (canvas / SIDE) ** 2, rel=0.25)


@pytest.mark.slow
def test_heads_learn_behind_the_encoders_and_lie_in_the_delta(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SspSam(tiny())
    base = write_base(tmp_path / "alone", model)
    write_joined_folder(open_weights_folder(base), model, eager(random_network(tiny_network())), tmp_path / "base", release="1.0.0")
    fine_tune(request_for(tmp_path, replace(QUICK, steps=1, label_steps=2, views=1)))
    changed = {name for name in load_file(tmp_path / "draft" / "delta.safetensors") if name.startswith(PREFIX)}
    assert changed
    engine = load_engine(tmp_path / "draft", device="cpu")
    assert isinstance(engine, ProposingEngine)
    assert engine.propose(np.zeros((SIDE, SIDE, 3), np.uint8), list(COLOURS)).label_map.shape == (SIDE, SIDE)


@pytest.mark.slow
def test_heads_stay_as_they_are_where_nobody_asks_for_lists(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SspSam(tiny())
    base = write_base(tmp_path / "alone", model)
    write_joined_folder(open_weights_folder(base), model, random_network(tiny_network()), tmp_path / "base", release="1.0.0")
    samples = write_dataset(tmp_path / "data") / "samples.jsonl"
    told = [json.loads(line) for line in samples.read_text().splitlines()]
    samples.write_text("".join(json.dumps({**one, "attributes": {"in_words": True}}) + "\n" for one in told))
    fine_tune(request_for(tmp_path, replace(QUICK, steps=1, label_steps=2, views=1, collages=0)))
    changed = set(load_file(tmp_path / "draft" / "delta.safetensors"))
    assert changed
    assert not [name for name in changed if name.startswith(PREFIX)]


def test_an_engine_that_prefers_lists_is_measured_as_it_serves_a_project_of_labels(tmp_path: Path) -> None:
    examples = read_examples(DatasetFolder(write_dataset(tmp_path / "data", training=2, validation=0)))
    as_list = [_of_kinds(one) for one in examples]
    engine = FakeProposingEngine()
    score_engine(engine, examples)  # which have no kinds: prompts may be among them
    assert {method for method, _ in engine.calls} == {"segment"}
    engine.calls.clear()
    score_engine(engine, as_list)
    assert {method for method, _ in engine.calls} == {"propose"}
    engine.calls.clear()
    # A control may say that it wants words.
    score_engine(engine, [replace(one, sample=replace(one.sample, attributes={"in_words": True})) for one in as_list])
    assert {method for method, _ in engine.calls} == {"segment"}
    engine.prefers_lists = False
    engine.calls.clear()
    score_engine(engine, as_list)
    assert {method for method, _ in engine.calls} == {"segment"}


def _of_kinds(example: Example) -> Example:
    """As a project of labels alone has it."""
    said = tuple(replace(one, kind="label" if one.target_ids else "absent") for one in example.sample.expressions)
    return replace(example, sample=replace(example.sample, expressions=said))
