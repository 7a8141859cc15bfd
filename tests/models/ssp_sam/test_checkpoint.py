"""Published checkpoints: every name and shape, both layouts, both ways, and nothing that half fits."""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from models.ssp_sam.checkpoint import FROZEN_PARTS, OFFICIAL_TO_OURS, export_official, load_official, load_upstream, official_names
from models.ssp_sam.config import contract, ssp_sam_224, ssp_sam_336, tiny
from models.ssp_sam.model import SspSam, trainable_head
from models.strict_weights import WeightsError
from tests.models.ssp_sam.files import write_clip_archive
from tests.models.ssp_sam.networks import perturbed

LISTINGS = Path(__file__).parents[2] / "data" / "ssp_sam_keys"
PUBLISHED = [pytest.param(ssp_sam_224, id="224"), pytest.param(ssp_sam_336, id="336")]


@cache
def on_meta(make_config) -> SspSam:
    """A network of full size without its numbers: SAM ViT-H alone would take 2.5 GB."""
    with torch.device("meta"):
        return SspSam(make_config())


def described(tensors) -> dict[str, tuple[str, str]]:
    return {name: (str(tuple(t.shape)), str(t.dtype).removeprefix("torch.")) for name, t in tensors.items()}


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


@pytest.fixture(scope="module")
def model() -> SspSam:
    """Never changed by a test."""
    return perturbed(seed=1)


@pytest.fixture(scope="module")
def unchanged_other() -> SspSam:
    return perturbed(seed=2)


@pytest.fixture
def other(unchanged_other) -> SspSam:
    """The same network with other numbers, to load into."""
    return copy.deepcopy(unchanged_other)


@pytest.mark.parametrize("make_config", PUBLISHED)
def test_names_shapes_and_types_are_exactly_those_of_the_published_files(make_config):
    lines = (LISTINGS / f"{make_config().name}.txt").read_text().splitlines()
    listed = {name: (shape, dtype) for name, shape, dtype in (line.split("\t") for line in lines)}
    assert described(export_official(on_meta(make_config))) == listed


@pytest.mark.parametrize(
    ("make_config", "saved", "fresh", "trainable"),
    [pytest.param(ssp_sam_224, 1023, 1019, 18_373_611, id="224"), pytest.param(ssp_sam_336, 1167, 1163, 18_733_035, id="336")],
)
def test_counts_are_those_of_the_paper(make_config, saved, fresh, trainable):
    model = on_meta(make_config)
    assert len(export_official(model, "saved")) == saved
    assert len(export_official(model, "fresh")) == fresh
    assert sum(p.numel() for p in [*trainable_head(model), *model.sam.mask_decoder.parameters()]) == trainable


def test_every_line_of_the_name_table_is_used():
    names = official_names(on_meta(ssp_sam_224), "fresh")
    for official, ours in OFFICIAL_TO_OURS:
        assert any(a.startswith(official) and b.startswith(ours) for a, b in names.items()), official


def test_the_saved_layout_renames_the_surgery_blocks_and_repeats_the_first():
    model = on_meta(ssp_sam_224)
    saved, fresh = export_official(model, "saved").keys(), export_official(model, "fresh").keys()
    expected = {f"encoder.visual.transformer.resblocks.{i}.attn.qkv.weight" for i in range(6, 12)} | {"encoder.visual.attn.qkv.weight"}
    assert {name for name in saved if name.endswith("qkv.weight") and name.startswith("encoder.")} == expected
    assert official_names(model, "saved")["encoder.visual.attn.proj.bias"] == "clip.visual.transformer.resblocks.6.attn.out_proj.bias"
    assert len(saved - fresh) == 6 * 4 + 4
    assert len(fresh - saved) == 6 * 4


@pytest.mark.parametrize("leave_out", [(), ("clip",), ("sam_image_encoder",), ("clip", "sam_image_encoder")], ids="-".join)
@pytest.mark.parametrize("layout", ["saved", "fresh"])
def test_a_round_trip_is_bit_equal(model, other, layout, leave_out):
    published = copy.deepcopy(export_official(model, layout, leave_out=leave_out))
    before = copy.deepcopy(export_official(other, layout))
    lacking = load_official(published, other, may_lack=("clip", "sam_image_encoder"))
    after = export_official(other, layout)
    assert lacking == set(leave_out)
    assert equal({name: after[name] for name in published}, published)
    kept = after.keys() - published.keys()
    assert equal({name: after[name] for name in kept}, {name: before[name] for name in kept})
    assert all(name.startswith(tuple(FROZEN_PARTS.values())) for name in kept)


@pytest.mark.parametrize("layout", ["saved", "fresh"])
def test_a_file_as_training_writes_it_loads(model, other, layout, tmp_path):
    path = tmp_path / "checkpoint_best_miou.pth"
    args = argparse.Namespace(lr=1e-4, transforms=[{"type": "Resize", "size": 224}])
    torch.save({"model": export_official(model, layout), "optimizer": {"state": {}}, "epoch": 3, "args": args}, path)
    assert load_official(path, other) == set()
    assert equal(other.state_dict(), model.state_dict())


def test_a_checkpoint_in_half_precision_loads_into_single(model, other):
    load_official({name: tensor.half() for name, tensor in export_official(model).items()}, other)
    assert all(torch.equal(b, a.half().float()) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def _without_decoder_bias(state):
    del state["sam.mask_decoder.iou_prediction_head.layers.2.bias"]


def _without_prompt_encoder(state):
    for name in [name for name in state if name.startswith("sam.prompt_encoder.")]:
        del state[name]


def _with_module_prefix(state):
    for name in list(state):
        state[f"module.{name}"] = state.pop(name)


def _transposed(state):
    state["vl_pos_embed.weight"] = state["vl_pos_embed.weight"].T


def _with_stranger(state):
    state["aux_head.weight"] = torch.zeros(3)


def _without_alias(state):
    del state["encoder.visual.attn.qkv.weight"]


def _half_a_clip(state):
    for name in [name for name in state if name.startswith("encoder.visual.")]:
        del state[name]


def _whole_numbers(state):
    state["tf_sigma"] = torch.ones(1, dtype=torch.int64)


def _different_alias(state):
    state["encoder.visual.attn.proj.bias"] = state["encoder.visual.attn.proj.bias"] + 1


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        pytest.param(_without_decoder_bias, ["1 missing", "sam.mask_decoder.iou_prediction_head.layers.2.bias"], id="one missing"),
        pytest.param(_without_prompt_encoder, ["17 missing", "and 9 more"], id="a required part missing"),
        pytest.param(_with_module_prefix, ["missing", "not expected (module."], id="prefixed"),
        pytest.param(_transposed, ["vl_pos_embed.weight found float32 (32, 25), expected float32 (25, 32)"], id="transposed"),
        pytest.param(_with_stranger, ["1 not expected (aux_head.weight)"], id="one too many"),
        pytest.param(_without_alias, ["1 missing (encoder.visual.attn.qkv.weight)"], id="alias incomplete"),
        pytest.param(_half_a_clip, ["missing", "encoder.visual.class_embedding"], id="part of an optional part"),
        pytest.param(_whole_numbers, ["tf_sigma found int64 (1,), expected float32 (1,)"], id="whole numbers"),
        pytest.param(_different_alias, ["twice", "encoder.visual.attn.proj.bias"], id="copies differ"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(model, other, spoil, named):
    state = export_official(model)
    spoil(state)
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(WeightsError) as refusal:
        load_official(state, other, may_lack=("clip", "sam_image_encoder"))
    assert all(part in str(refusal.value) for part in named)
    assert "\n" not in str(refusal.value)
    assert equal(other.state_dict(), before)


def test_an_absent_frozen_part_must_be_allowed_and_the_message_says_how(model, other):
    with pytest.raises(WeightsError, match=r"without encoder\.\* pass may_lack='clip'.*load_upstream"):
        load_official(export_official(model, leave_out=("clip",)), other)


def test_a_checkpoint_of_the_other_variant_is_refused():
    with pytest.raises(WeightsError, match=r"missing .* of another shape .*'ssp-sam-336'"):
        load_official(export_official(on_meta(ssp_sam_224)), on_meta(ssp_sam_336))


class Surprise:
    """Stands for code hidden in a pickle."""


@pytest.mark.parametrize(
    ("write", "message"),
    [
        pytest.param(lambda path: None, "no checkpoint at", id="no file"),
        pytest.param(lambda path: path.write_bytes(b""), "cannot be read", id="empty"),
        pytest.param(lambda path: path.write_bytes(b"not a checkpoint"), "cannot be read", id="text"),
        pytest.param(lambda path: torch.save({"model": {"a": Surprise()}}, path), "cannot be read", id="foreign object"),
        pytest.param(lambda path: torch.save([torch.zeros(1)], path), "holds list; expected a state dict", id="list"),
        pytest.param(lambda path: torch.save({"model": {"epoch": 3}}, path), "expected a state dict", id="no tensors"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(other, tmp_path, write, message):
    path = tmp_path / "checkpoint.pth"
    write(path)
    with pytest.raises(WeightsError, match=message):
        load_official(path, other)


def test_a_file_cut_short_is_refused(model, other, tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": export_official(model)}, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_official(path, other)


@pytest.mark.parametrize(
    ("part", "switch", "value"),
    [
        pytest.param("clip", "letterbox", "top-left", id="changes no tensor"),
        pytest.param("clip", "conv_stem", (4, 6, 8), id="changes tensors of CLIP"),
        pytest.param("head", "presence", True, id="adds tensors"),
        pytest.param("head", "published_extras", False, id="lacks tensors"),
    ],
)
def test_a_network_with_switches_of_its_own_has_no_official_names(model, part, switch, value):
    config = replace(contract(), **{part: replace(getattr(contract(), part), **{switch: value})})
    with torch.device("meta"):
        network = SspSam(config)
    with pytest.raises(WeightsError, match=rf"not of the published architecture: {part}.{switch}=.* weights folder"):
        export_official(network)
    with pytest.raises(WeightsError, match=rf"{part}.{switch}="):
        load_official(export_official(model), network)


def test_the_tiny_model_has_no_official_names():
    with pytest.raises(WeightsError, match="configuration 'tiny' is not of the published architecture"):
        export_official(on_meta(tiny))


def test_clip_comes_from_openais_state_dict(model, other):
    published = {name.removeprefix("clip."): tensor for name, tensor in model.state_dict().items() if name.startswith("clip.")}
    extras = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(16), "vocab_size": torch.tensor(128)}
    load_upstream("clip", published | extras, other)
    assert equal(other.clip.state_dict(), model.clip.state_dict())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_clip_comes_from_a_torchscript_archive_in_half_precision(model, other, tmp_path):
    """OpenAI publishes its CLIP as one."""
    path = tmp_path / "ViT-B-16.pt"
    write_clip_archive(path, model)
    load_upstream("clip", path, other)
    assert equal(other.clip.state_dict(), {name: tensor.half().float() for name, tensor in model.clip.state_dict().items()})


def test_the_image_encoder_comes_from_a_whole_sam_checkpoint(model, other, tmp_path):
    path = tmp_path / "sam_vit_h_4b8939.pth"
    torch.save(model.sam.state_dict(), path)
    decoder = copy.deepcopy(other.sam.mask_decoder.state_dict())
    load_upstream("sam_image_encoder", path, other)
    assert equal(other.sam.image_encoder.state_dict(), model.sam.image_encoder.state_dict())
    assert equal(other.sam.mask_decoder.state_dict(), decoder)


def test_upstream_files_of_another_size_are_refused(other):
    with pytest.raises(WeightsError, match=r"the sam_image_encoder part of the state dict does not fit: .*'contract' was published with"):
        load_upstream("sam_image_encoder", {"image_encoder.pos_embed": torch.zeros(1, 4, 4, 8)}, other)
