"""``wordmask propose`` answers for one file: overlay, picture of the steps, JSON and table, or one line that says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from typer.testing import CliRunner, Result

from backend.cli import app
from models import ProposalOptions
from tests.factories import FakeEngine, FakeProposingEngine, fake_mask, make_image


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(make_image((120, 160))).save(path)
    return path


def run(engine: FakeEngine, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["propose", *map(str, arguments)], obj=lambda profile, **options: engine)


def test_overlay_steps_and_json_are_written_beside_each_other(photo, tmp_path):
    result = run(FakeProposingEngine(), photo, "--labels", "cat,dog", "--out", tmp_path / "results")
    assert result.exit_code == 0, result.output
    written = {file.name for file in (tmp_path / "results").iterdir()}
    assert written == {"photo-proposals.png", "photo-stages.png", "photo-proposals.json"}
    with Image.open(tmp_path / "results" / "photo-proposals.png") as overlay:
        assert overlay.size == (160, 120)


def test_json_holds_label_masks_as_counts_and_every_proposal(photo, tmp_path):
    run(FakeProposingEngine(scores={"dog": 0.75}), photo, "--labels", "dog", "--out", tmp_path)
    answer = json.loads((tmp_path / "photo-proposals.json").read_text())
    assert answer["image"] == {"path": str(photo), "width": 160, "height": 120}
    assert answer["model_version"] == FakeProposingEngine().version
    expected = fake_mask(make_image((120, 160)), "dog")
    assert answer["labels"] == [{"label": "dog", "pixels": int(expected.sum())}]
    [found] = answer["proposals"]
    rows, columns = np.nonzero(expected)
    assert (found["label"], found["score"], found["source"]) == ("dog", 0.75, "sam")
    assert found["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert coco.area(found["rle"]) == found["area"] == expected.sum()


def test_the_engine_is_asked_once_for_everything_the_options_say(photo, tmp_path):
    engine = FakeProposingEngine()
    options = ["--background", "sky", "--stuff", "grass", "--threshold", "0.5", "--most", "7"]
    run(engine, photo, "--labels", " red \t car ,grass,, dog", *options, "--out", tmp_path)
    asked = ProposalOptions(min_score=0.5, max_proposals=7, stuff=frozenset({"grass"}))
    assert engine.calls == [("propose", (["red car", "grass", "dog"], ["sky"], asked))]


def test_json_goes_to_standard_output_alone(photo, tmp_path):
    result = run(FakeProposingEngine(), photo, "--labels", "dog", "--out", tmp_path, "--json", "-")
    assert json.loads(result.stdout)["labels"][0]["label"] == "dog"


def test_labels_that_were_not_found_are_named(photo, tmp_path):
    result = run(FakeProposingEngine(instances={"unicorn": 0}), photo, "--labels", "dog,unicorn", "--out", tmp_path)
    [line] = [line for line in result.output.splitlines() if "unicorn" in line and "wrote" not in line]
    assert "not found" in line


@pytest.mark.parametrize(
    ("engine", "arguments", "message"),
    [
        pytest.param(FakeProposingEngine(), ["--labels", " , "], "found no label", id="no label"),
        pytest.param(FakeEngine(), ["--labels", "dog"], "not lists of labels", id="an engine for expressions only"),
    ],
)
def test_what_cannot_be_asked_is_one_line(photo, engine, arguments, message):
    result = run(engine, photo, *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_file_that_is_no_image_is_one_line(tmp_path):
    (tmp_path / "words.txt").write_text("no picture")
    result = run(FakeProposingEngine(), tmp_path / "words.txt", "--labels", "dog")
    assert result.exit_code == 1
    assert "words.txt" in result.output
