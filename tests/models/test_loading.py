"""From a weights folder to an engine: exactly, reproducibly, or with one clear message."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import WeightsError, load_engine, profiles, weights_folder
from models.devices import choose_device
from models.embedding_cache import EmbeddingCache
from models.ssp_sam.config import CONFIGURATIONS, contract, named_config
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.ssp_sam.weights import write_weights_folder
from tests.models.ssp_sam.networks import perturbed

VOCABULARY = vocabulary_of(["the red car", "a dog on the left"])
TOKENIZER = PhraseTokenizer(contract().clip.context_length, VOCABULARY)
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> SspSam:
    """Its numbers fit half precision, so nothing is lost on the way."""
    clip = replace(contract().clip, vocab_size=TOKENIZER.vocab_size)
    model = perturbed(replace(contract(), clip=clip), seed=2)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(tensor.half())
    return model


@pytest.fixture
def folder(model, tmp_path) -> Path:
    path = tmp_path / "mine"
    write_weights_folder(model, TOKENIZER, path, release="0.1.0", thresholds=Thresholds(presence=0.25))
    return path


def change(folder: Path, **entries) -> None:
    """Change entries of the manifest; ``None`` removes one."""
    path = folder / "engine.json"
    manifest = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))


def test_an_engine_from_a_folder_answers_as_the_network_that_was_written(model, folder):
    device, cache = torch.device("cpu"), EmbeddingCache(0)
    direct = SspSamEngine(model, TOKENIZER, name="", version="", device=device, thresholds=Thresholds(presence=0.25), cache=cache)
    loaded = load_engine(folder, device="cpu")
    for phrase in ("the red car", "a dog on the left"):
        (expected,), (found,) = (engine.segment_scored(IMAGE, [phrase]) for engine in (direct, loaded))
        assert np.array_equal(found.mask, expected.mask)
        assert 0.1 < found.mask.mean() < 0.9
    assert loaded.unknown_words("a blue dog") == ["blue"]


def test_the_folder_holds_half_precision_and_a_small_manifest(model, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["engine.json", "model.safetensors"]
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float16}
    assert json.loads((folder / "engine.json").read_text()) == {
        "architecture": "ssp-sam",
        "config": "contract",
        "release": "0.1.0",
        "vocabulary": VOCABULARY,
        "thresholds": {"presence": 0.25},
    }


def test_the_same_weights_give_the_same_bytes_and_other_weights_another_version(model, folder, tmp_path):
    def write(name, network):
        return write_weights_folder(network, TOKENIZER, tmp_path / name / "mine", release="0.1.0", thresholds=Thresholds(presence=0.25))

    again = write("again", model)
    other = write("other", perturbed(model.config, seed=9))
    for name in ("engine.json", "model.safetensors"):
        assert (again.path / name).read_bytes() == (folder / name).read_bytes()
    engine = load_engine(str(folder), device="cpu")
    assert engine.name == "mine"
    assert engine.version == again.version
    assert engine.version.startswith("mine-0.1.0+")
    assert len(engine.version) == len("mine-0.1.0+") + 8
    assert other.version != again.version


def test_the_memory_layout_of_a_training_run_does_not_change_the_bytes(model, folder, tmp_path):
    channels_last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert not channels_last.clip.visual.conv1.weight.is_contiguous()
    again = write_weights_folder(channels_last, TOKENIZER, tmp_path / "again", release="0.1.0", thresholds=Thresholds(presence=0.25))
    assert (again.path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_writing_again_replaces_the_weights_and_keeps_other_files(model, folder):
    (folder / "README.md").write_text("model card")
    again = write_weights_folder(perturbed(model.config, seed=9), TOKENIZER, folder, release="0.2.0", thresholds=Thresholds())
    assert load_engine(folder, device="cpu").version == again.version
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "engine.json", "model.safetensors"]


def test_the_cache_goes_where_it_is_told(folder, tmp_path):
    load_engine(folder, device="cpu", cache_dir=tmp_path / "features").segment(IMAGE, ["the red car"])
    names = sorted(file.name.split("-") for file in (tmp_path / "features").iterdir())
    assert [encoder for _, _, encoder, _ in names] == ["clip", "sam"]
    assert all(f"{name}-{version}".startswith("mine-0.1.0+") for name, version, _, _ in names)


def test_a_profile_is_found_by_name_among_those_that_ship(model, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_folder, "PROFILES_DIR", tmp_path)
    for name in ("small", "large"):
        write_weights_folder(model, TOKENIZER, tmp_path / name, release="1", thresholds=Thresholds())
    (tmp_path / "unfinished").mkdir()
    assert profiles() == ["large", "small"]
    assert load_engine("small", device="cpu").name == "small"
    with pytest.raises(WeightsError, match=r"called 'medium'; the profiles are: large, small\. Name one of them, or a folder with"):
        load_engine("medium")


def _truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _drop_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["box_head.layers.0.bias"]
    save_file(tensors, folder / "model.safetensors")


def _reshape_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["generator.positions.weight"] = tensors["generator.positions.weight"].T.contiguous()
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(_truncate, r"model\.safetensors cannot be read .* get the folder anew", id="weights cut short"),
        pytest.param(lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be read as safetensors", id="weights empty"),
        pytest.param(_drop_tensor, r"1 missing \(box_head\.layers\.0\.bias\)", id="tensor missing"),
        pytest.param(_reshape_tensor, r"generator\.positions\.weight found .*\(32, 25\), expected .*\(25, 32\)", id="tensor transposed"),
        pytest.param(lambda f: change(f, architecture="sam-9"), "architecture 'sam-9'; this version knows ssp-sam", id="architecture"),
        pytest.param(lambda f: change(f, config="huge"), r"no configuration of SSP-SAM is called 'huge'; there are tiny, ", id="config"),
        pytest.param(lambda f: change(f, thresholds={"presence": 2}), r"probability, 0\.\.1, found 2", id="threshold out of range"),
        pytest.param(lambda f: change(f, thresholds={"absence": 0.5}), "absence", id="unknown threshold"),
        pytest.param(lambda f: change(f, thresholds=None), "KeyError: 'thresholds'", id="no thresholds"),
        pytest.param(lambda f: change(f, vocabulary=["red"]), "list of whole numbers", id="vocabulary of words"),
        pytest.param(lambda f: change(f, vocabulary=VOCABULARY[1:]), "clip.token_embedding.weight found", id="vocabulary too short"),
    ],
)
def test_a_folder_that_is_not_right_is_refused_with_one_clear_message(folder, spoil, message):
    spoil(folder)
    with pytest.raises(WeightsError, match=message):
        load_engine(folder, device="cpu")


def test_a_network_of_sizes_without_a_name_is_not_written(model, tmp_path):
    config = replace(model.config, head=replace(model.config.head, prompts=5))
    with pytest.raises(WeightsError, match="differ from those of configuration 'contract'"):
        write_weights_folder(SspSam(config), TOKENIZER, tmp_path / "mine", release="1", thresholds=Thresholds())
    assert not (tmp_path / "mine").exists()


def test_numbers_too_large_for_half_precision_are_not_written(model, tmp_path):
    diverged = perturbed(model.config)
    with torch.no_grad():
        diverged.generator.norm.bias[3] = 1e6
    with pytest.raises(WeightsError, match=r"generator\.norm\.bias holds values that half precision cannot \(largest 1e\+06\)"):
        write_weights_folder(diverged, TOKENIZER, tmp_path / "mine", release="1", thresholds=Thresholds())
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("make", CONFIGURATIONS, ids=lambda make: make.__name__)
def test_every_configuration_is_found_by_its_own_name(make):
    assert named_config(make().name) == make()


def test_the_device_is_chosen_or_refused():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cuda", "mps", "cpu")
    with pytest.raises(ValueError, match="device 'abacus' cannot be used here"):
        choose_device("abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match=r"device 'cuda:0' cannot be used here .* use 'auto' or 'cpu'"):
        load_engine(folder, device="cuda:0")


def test_loading_leaves_the_number_of_threads_alone(folder):
    before = torch.get_num_threads()
    load_engine(folder, device="cpu")
    assert torch.get_num_threads() == before
