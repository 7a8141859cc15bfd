"""The benchmarks of label lists on two scenes of plain shapes and random weights: every row comes about, and damage is damage."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import ablation, ablation_masks, proposals
from models.data.emoji_scenes import CLASSES, SceneSet
from models.preprocess import sam_letterbox
from models.sam_mi.region_points import Points
from models.ssp_sam.config import tiny as tiny_encoders
from tests.emoji_world import write_split
from tests.models.sam_mi.networks import encoders, engine

SIDE = 64
LETTERBOX = sam_letterbox((256, 256), 256)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> SceneSet:
    return write_split(tmp_path_factory.mktemp("scenes"), "held-out-scenes", 2)


def disc(radius: float, centre: tuple[int, int] = (32, 32)) -> torch.Tensor:
    """Logits of a disc."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return radius - torch.hypot(rows - centre[0] + 0.0, columns - centre[1] + 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("trained", [True, False], ids=["trained", "zero-training"])
def test_every_row_of_the_ablation_has_a_figure_and_a_line(scenes, trained):
    mode = ablation.Mode("mode", engine(trained=trained, model=encoders(tiny_encoders())))
    found = ablation.measure([mode], scenes, 1)
    assert set(found["mode"]) == {row.number for row in mode.rows}
    assert len(mode.rows) == len(ablation.ROWS) - (0 if trained else 4)
    for figures in found["mode"].values():
        assert 0 <= figures["miou"] <= 100
    assert found["mode"]["1"]["points"] > found["mode"]["8.64"]["points"] == 64
    lines = list(ablation.markdown(mode, {"held-out-scenes": found["mode"]}))
    assert len(lines) == 3 + len(mode.rows)
    assert len({line.count("|") for line in lines[1:]}) == 1


def test_a_part_is_taken_away_by_shutting_its_gates_and_the_whole_stays_whole():
    mode = ablation.Mode("trained", engine(trained=True))
    whole, low, high = (mode.variants[name].network for name in ("both", "low", "high"))
    assert mode.variants["both"].preset.trained_correction == 0 < mode.proposer.preset.trained_correction
    assert low.high1.gate.abs().max() == 0 == high.low.cost_gate.abs().max()
    assert mode.variants["soft"].preset.trained_correction == mode.proposer.preset.trained_correction
    assert not mode.variants["soft"].preset.inject_masks
    assert mode.variants["injected and soft"].preset.inject_masks
    assert min(whole.high1.gate.abs().max(), low.low.cost_gate.abs().max(), high.high2.gate.abs().max()) > 0


def test_damaged_masks_lose_a_tenth_or_move_by_a_tenth_of_their_size():
    rng = np.random.default_rng(0)
    whole = disc(12)
    area = int((whole > 0).sum())
    eroded = ablation_masks.eroded(whole, rng) > 0
    assert int(eroded.sum()) == area - round(0.1 * area)
    assert (eroded <= (whole > 0)).all()
    moved = ablation_masks.shifted(whole, rng) > 0
    centre = [float(index.float().mean()) for index in torch.nonzero(moved, as_tuple=True)]
    assert np.hypot(centre[0] - 32, centre[1] - 32) == pytest.approx(0.1 * area**0.5, abs=0.3)
    assert int(moved.sum()) == pytest.approx(area, rel=0.05)
    assert not torch.equal(ablation_masks.anywhere(whole, rng) > 0, whole > 0)
    nothing = torch.full((SIDE, SIDE), -1.0)
    assert torch.equal(ablation_masks.eroded(nothing, rng), nothing)


@pytest.mark.parametrize("count", [1, 8, 41, 2000])
def test_points_are_filled_up_with_cells_far_from_all_others(count):
    own = Points(np.array([[3.0, 4.0], [20.0, 20.0]]), np.zeros((2, 32, 32), np.bool_))
    found = ablation_masks.exactly(own, count, LETTERBOX, 32)
    assert len(found.cells) == len(found.marked) == min(count, 32 * 32)
    assert len({tuple(cell) for cell in found.cells.tolist()}) == len(found.cells)
    assert np.array_equal(found.cells[: min(count, 2)], own.cells[: min(count, 2)])
    nowhere = Points(np.zeros((0, 2)), np.zeros((0, 32, 32), np.bool_))
    assert len(ablation_masks.exactly(nowhere, count, LETTERBOX, 32).cells) == min(count, 1024)


@pytest.mark.slow
def test_peers_and_ours_answer_the_same_scenes(scenes, monkeypatch):
    monkeypatch.setattr("benchmarks.proposal_peers.GRID_SIDE", 4)
    monkeypatch.setattr(proposals, "PHOTOGRAPH_SIDE", 300)
    one = engine(model=encoders(tiny_encoders()))
    rows = proposals.quality(proposals.pipelines(one), scenes, 1)
    assert set(rows) == {proposals.OURS, proposals.GRID, proposals.OWN_GRID, proposals.GROUNDED, proposals.SHARED}
    assert rows[proposals.GRID]["prompts"] == 16
    assert rows[proposals.GROUNDED]["encodings"] >= rows[proposals.SHARED]["encodings"]
    assert rows[proposals.GROUNDED]["miou"] == rows[proposals.SHARED]["miou"]
    image = scenes.image(0)
    assert {"SAM's image encoder", "sam decoder", "pixels"} <= set(proposals.stages(one, image, CLASSES[:3], 1))
    assert list(proposals.by_labels(one, image, [3, 1])) == [1, 3]
    assert proposals.price_of_label_map(one, image, CLASSES[:3]) > 0
    assert len(set(proposals.many_names(500))) == 500
