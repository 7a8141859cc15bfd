"""A version beside its base: what it did not change is in memory once, and neither answers otherwise for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import fine_tune, load_engine
from models.ssp_sam.engine import SspSamEngine
from tests.models.finetuning.world import QUICK, request_for

IMAGE = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a version of it."""
    folder: Path = tmp_path_factory.mktemp("sharing")
    fine_tune(request_for(folder, replace(QUICK, steps=2)))
    return folder


def load(place: Path, beside: SspSamEngine | None = None) -> SspSamEngine:
    engine = load_engine(place, device="cpu", beside=beside)
    assert isinstance(engine, SspSamEngine)
    return engine


def answers(engine: SspSamEngine) -> np.ndarray:
    return np.stack([one.mask for one in engine.segment_scored(IMAGE, ["red square", "cat"])])


def test_a_version_beside_its_base_answers_as_alone_and_so_does_the_base(root: Path) -> None:
    base = load(root / "base")
    before = answers(base)
    version = load(root / "draft", base)
    np.testing.assert_array_equal(answers(version), answers(load(root / "draft")))
    np.testing.assert_array_equal(answers(base), before)


def test_only_what_the_version_changed_takes_memory_of_its_own(root: Path) -> None:
    base = load(root / "base")
    theirs = {parameter.data_ptr() for network in base.networks().values() for parameter in network.parameters()}
    own = [parameter for network in load(root / "draft", base).networks().values() for parameter in network.parameters()]
    alone = [parameter for network in load(root / "draft").networks().values() for parameter in network.parameters()]
    assert not [parameter for parameter in alone if parameter.data_ptr() in theirs]
    encoder = {parameter.data_ptr() for parameter in base.networks()[""].sam.image_encoder.parameters()}  # type: ignore[union-attr]
    assert encoder <= {parameter.data_ptr() for parameter in own}
    assert 0 < sum(parameter.nbytes for parameter in own if parameter.data_ptr() not in theirs) < sum(p.nbytes for p in own) / 2


def test_versions_and_base_share_the_budget_for_image_features(root: Path) -> None:
    base = load(root / "base")
    version = load(root / "draft", base)
    answers(base)
    held = base.cache.used_bytes
    answers(version)
    assert version.cache is base.cache
    assert base.cache.used_bytes > held, "the version sees the image with other eyes, and is never given the base's features"
