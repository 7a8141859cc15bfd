"""One folder holds both networks, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models import WeightsError, load_engine
from models.embedding_cache import EmbeddingCache
from models.sam_mi.config import contract
from models.sam_mi.config import tiny as tiny_network
from models.sam_mi.engine import SamMiEngine
from models.sam_mi.model import SamMi
from models.sam_mi.weights import PREFIX, build_engine, write_joined_folder
from models.ssp_sam.config import tiny as tiny_encoders
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.ssp_sam.weights import write_weights_folder
from models.weights_folder import WeightsFolder
from models.weights_tensors import save_delta
from tests.models.sam_mi.networks import GENEROUS, TOKENIZER, eager, engine, random_network

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def networks() -> tuple[SspSam, SamMi, PhraseTokenizer]:
    """Their numbers fit half precision, so nothing is lost on the way."""
    tokenizer = PhraseTokenizer(tiny_encoders().clip.context_length, TOKENIZER.vocabulary)
    config = replace(tiny_encoders(), clip=replace(tiny_encoders().clip, vocab_size=tokenizer.vocab_size))
    torch.manual_seed(0)
    model, network = SspSam(config).eval(), eager(random_network(tiny_network(), open_gates=True))
    with torch.no_grad():
        for tensor in [*model.state_dict().values(), *network.state_dict().values()]:
            tensor.copy_(tensor.half())
    return model, network, tokenizer


@pytest.fixture
def base(networks, tmp_path) -> WeightsFolder:
    model, _, tokenizer = networks
    return write_weights_folder(model, tokenizer, tmp_path / "base", release="1.2.3", thresholds=Thresholds(presence=0.25))


@pytest.fixture
def joined(networks, base, tmp_path) -> Path:
    model, network, _ = networks
    return write_joined_folder(base, model, network, tmp_path / "both", release="1.3.0").path


def change(folder: Path, **entries) -> None:
    path = folder / "engine.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_folder_of_ssp_sam_alone_answers_label_lists_without_training(base):
    engine = load_engine(base.path, device="cpu")
    assert isinstance(engine, SamMiEngine)
    assert engine.propose(IMAGE, ["cat", "dog"]).labels == ("cat", "dog")


def test_an_engine_of_both_answers_as_the_networks_that_were_written(networks, joined, monkeypatch):
    monkeypatch.setattr("models.sam_mi.weights.preset_for", lambda name: GENEROUS)
    model, network, tokenizer = networks
    loaded = load_engine(joined, device="cpu")
    direct = engine(GENEROUS, trained=True, model=model, network=network, tokenizer=tokenizer)
    expected, found = (one.propose(IMAGE, ["cat", "dog"]) for one in (direct, loaded))
    assert expected.label_map.any()
    assert np.array_equal(found.label_map, expected.label_map)
    expected, found = (one.segment_scored(IMAGE, ["cat"])[0].mask for one in (direct, loaded))
    assert np.array_equal(found, expected)


def test_the_folder_names_both_networks_and_keeps_what_the_base_said(base, joined):
    manifest = json.loads((joined / "engine.json").read_text())
    assert manifest == {
        **base.manifest, "architecture": "ssp-sam+sam-mi", "release": "1.3.0", "sam_mi": {"config": "tiny"},
    }  # fmt: skip
    tensors = load_file(joined / "model.safetensors")
    own = [name for name in tensors if name.startswith(PREFIX)]
    assert len(own) == len(SamMi(tiny_network()).state_dict())
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}


def test_the_shipped_encoders_and_the_network_fit_into_twenty_megabytes(joined):
    """The vocabulary of the shipped file adds about 0.1 MB to this one."""
    assert (joined / "model.safetensors").stat().st_size < 19.5e6


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        pytest.param({"sam_mi": {"config": "enormous"}}, "does not describe a SAM-MI", id="unknown configuration"),
        pytest.param({"sam_mi": None}, "does not describe a SAM-MI", id="no entry"),
        pytest.param({"architecture": "ssp-sam"}, "not expected", id="tensors that nobody expects"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(joined, entries, message):
    change(joined, **entries)
    with pytest.raises(WeightsError, match=message):
        load_engine(joined, device="cpu")


def test_a_network_without_a_named_configuration_is_not_written(networks, base, tmp_path):
    odd = SamMi(replace(contract(), hidden=64))
    with pytest.raises(WeightsError, match="configuration of its own"):
        write_joined_folder(base, networks[0], odd, tmp_path / "odd", release="1")


def test_a_version_that_was_fine_tuned_has_learned_phrases_and_not_lists(networks, base, tmp_path):
    model, _, _ = networks
    own = model.state_dict()
    trained = {name: tensor + 1 if name == "visual_adapter.gaussian_scale" else tensor for name, tensor in own.items()}
    save_delta(tmp_path / "delta.safetensors", trained, own)
    device, cache = torch.device("cpu"), EmbeddingCache(0)
    assert build_engine(base, device, cache).prefers_lists
    assert not build_engine(replace(base, delta=tmp_path / "delta.safetensors"), device, cache).prefers_lists
