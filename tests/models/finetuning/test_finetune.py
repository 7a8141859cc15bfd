"""From corrected samples to a version: it answers with its own tensors over those of its base, and a killed run loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models import FineTuneError, FineTuneProgress, WeightsError, find_weights, fine_tune, load_engine
from models.finetuning import finetune
from models.sam_mi.weights import read_networks
from models.version_folder import read_version
from tests.models.finetuning.world import QUICK, request_for, write_base, write_dataset

IMAGE = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world in which one fine-tuning has been done."""
    folder: Path = tmp_path_factory.mktemp("finetuned")
    fine_tune(request_for(folder))
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "delta.safetensors")


def answers(place: Path) -> np.ndarray:
    return np.stack([one.mask for one in load_engine(place, device="cpu").segment_scored(IMAGE, ["red square", "cat"])])


def test_a_version_says_where_it_comes_from_and_how_good_it_is(root: Path) -> None:
    manifest, base = read_version(root / "draft"), find_weights(root / "base")
    assert (manifest.version, manifest.parent, manifest.base.version) == ("v1", None, base.version)
    assert manifest.base.digest == base.digest
    assert manifest.measured_on == "validation"
    assert set(manifest.candidate.per_label) == {"red square", "green square", "blue square"}
    assert sum(one.count for one in manifest.candidate.per_label.values()) == 2 * 3
    assert [point.epoch for point in manifest.curve] == [1, 2]
    assert manifest.configuration["steps"] == 6
    assert json.loads((root / "draft" / "manifest.json").read_text())["scores"]["serving"]["mean"] == manifest.serving.mean


def test_only_what_learns_is_in_the_delta(root: Path) -> None:
    changed = set(tensors(root / "draft"))
    assert any(name.startswith("generator.") for name in changed)
    assert {name for name in changed if name.startswith("clip.visual.")} <= {
        f"clip.visual.transformer.resblocks.{block}.{name}"
        for block in (6, 7)
        for name in ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    }
    assert not [name for name in changed if name.startswith(("sam.image_encoder.", "sam.prompt_encoder.", "published_extras."))]


def test_an_engine_of_a_version_has_its_name_and_other_answers_than_its_base(root: Path) -> None:
    engine = load_engine(root / "draft", device="cpu")
    assert (engine.name, engine.version) == ("base", "v1")
    assert not np.array_equal(answers(root / "draft"), answers(root / "base"))


def test_a_version_is_relative_to_the_base_whatever_it_began_from(root: Path) -> None:
    fine_tune(request_for(root, run_dir=root / "second run", out=root / "second", parent=root / "draft", version="v2"))
    assert read_version(root / "second").parent == "v1"
    first, second = set(tensors(root / "draft")), set(tensors(root / "second"))
    # A bias that a softmax does not see wanders, and may be back where it began.
    assert len(first - second) <= 0.05 * len(first)
    kept = answers(root / "second")
    (root / "draft").rename(root / "pruned")
    assert np.array_equal(answers(root / "second"), kept)
    (root / "pruned").rename(root / "draft")


@pytest.mark.parametrize("has_parent", [False, True])
def test_a_version_leans_towards_the_base_and_not_towards_the_version_that_it_began_from(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_parent: bool
) -> None:
    told: list[tuple[float, bool]] = []
    base, _, _, _ = read_networks(find_weights(root / "base"))

    def lean(towards: nn.Module, learned: nn.Module, share: float) -> None:
        same = all(torch.equal(one, other) for one, other in zip(towards.parameters(), base.parameters(), strict=True))
        told.append((share, same))

    monkeypatch.setattr(finetune, "lean_towards", lean)
    config = replace(QUICK, steps=1, base_share=0.4)
    fine_tune(request_for(root, config, run_dir=tmp_path / "run", out=tmp_path / "out", parent=root / "draft" if has_parent else None))
    assert told == [(0.4, True)]


def test_a_run_of_the_same_seed_writes_the_same_version(root: Path, tmp_path: Path) -> None:
    fine_tune(request_for(root, run_dir=tmp_path / "run", out=tmp_path / "out"))
    assert (tmp_path / "out" / "delta.safetensors").read_bytes() == (root / "draft" / "delta.safetensors").read_bytes()


class Killed(BaseException):
    """What a killed process would not even notice."""


@pytest.mark.parametrize("step", [pytest.param(2, id="in the first epoch"), pytest.param(5, id="after a validation")])
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(finetune, "CHECKPOINT_SECONDS", 0.0)
    request = request_for(root, replace(QUICK, validate_every=1), run_dir=tmp_path / "run", out=tmp_path / "out")
    undisturbed = fine_tune(replace(request, run_dir=tmp_path / "other", out=tmp_path / "expected"))

    def die(progress: FineTuneProgress) -> None:
        if progress.step == step:
            raise Killed

    with pytest.raises(Killed):
        fine_tune(request, die)
    steps: list[int] = []
    assert fine_tune(request, lambda progress: steps.append(progress.step)).curve == undisturbed.curve
    assert steps[0] == step
    assert (tmp_path / "out" / "delta.safetensors").read_bytes() == (tmp_path / "expected" / "delta.safetensors").read_bytes()


def test_a_checkpoint_of_other_data_is_thrown_away_and_the_log_says_so(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = request_for(root, replace(QUICK, steps=2), run_dir=tmp_path / "run", out=tmp_path / "out")
    fine_tune(request)
    fine_tune(replace(request, dataset=write_dataset(tmp_path / "more", training=5)))
    assert "data changed" in caplog.text
    assert read_version(tmp_path / "out").data_digest != read_version(root / "draft").data_digest


def test_a_version_of_a_base_that_was_replaced_is_refused(root: Path, tmp_path: Path) -> None:
    request = request_for(tmp_path, replace(QUICK, steps=1))
    fine_tune(request)
    write_base(tmp_path / "base", seed=1)
    with pytest.raises(WeightsError, match="train it again"):
        load_engine(tmp_path / "draft", device="cpu")
    with pytest.raises(FineTuneError, match="train it again"):
        fine_tune(replace(request, parent=tmp_path / "draft", run_dir=tmp_path / "other"))


def test_without_anything_to_learn_from_one_line_says_so(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FineTuneError, match=r"nothing to learn from.*correct more tasks") as caught:
        fine_tune(request_for(root, dataset=write_dataset(tmp_path / "data", training=0), run_dir=tmp_path / "run"))
    assert "\n" not in str(caught.value)


def test_images_that_vanished_or_are_damaged_are_left_out(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_dataset(tmp_path / "data", training=4)
    (data / "images" / "0.png").unlink()
    (data / "images" / "1.png").write_bytes(b"\x89PNG no picture")
    fine_tune(request_for(root, replace(QUICK, steps=1), dataset=data, run_dir=tmp_path / "run", out=tmp_path / "out"))
    assert caplog.text.count("is left out") == 2


def test_boxes_alone_can_be_learned_from(root: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", weak=True)
    done = fine_tune(request_for(root, dataset=data, run_dir=tmp_path / "run", out=tmp_path / "out"))
    assert all(0 <= score.mean <= 1 for score in done.scores.values())
    assert any(name.startswith("generator.") for name in tensors(tmp_path / "out"))
