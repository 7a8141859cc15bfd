"""``wordmask segment`` answers for one file: overlay, JSON and table, or one line that says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from typer.testing import CliRunner, Result

from backend.cli import app
from tests.factories import FakeEngine, fake_mask, make_image


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(make_image((120, 160))).save(path)
    return path


def run(engine: FakeEngine, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["segment", *map(str, arguments)], obj=lambda profile, **options: engine)


def test_overlay_and_json_are_written_beside_each_other(photo, tmp_path):
    result = run(FakeEngine(), photo, "dog", "cat", "--out", tmp_path / "results")
    assert result.exit_code == 0, result.output
    assert {file.name for file in (tmp_path / "results").iterdir()} == {"photo-overlay.png", "photo-segments.json"}
    with Image.open(tmp_path / "results" / "photo-overlay.png") as overlay:
        assert overlay.size == (160, 120)


def test_json_holds_each_segment_at_original_size(photo, tmp_path):
    run(FakeEngine(scores={"dog": 0.75}), photo, "dog", "--out", tmp_path)
    answer = json.loads((tmp_path / "photo-segments.json").read_text())
    assert answer["image"] == {"path": str(photo), "width": 160, "height": 120}
    assert answer["model_version"] == FakeEngine().version
    [phrase] = answer["phrases"]
    [found] = phrase["segments"]
    expected = fake_mask(make_image((120, 160)), "dog")
    rows, columns = np.nonzero(expected)
    assert phrase["phrase"] == "dog"
    assert found["score"] == 0.75
    assert found["area"] == expected.sum()
    assert found["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found["rle"]["size"] == [120, 160]
    assert coco.area(found["rle"]) == expected.sum()
    assert coco.toBbox(found["rle"]).tolist() == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_all_expressions_are_asked_at_once_with_tidy_spaces(photo, tmp_path):
    engine = FakeEngine()
    run(engine, photo, " red \n car ", "dog", "--out", tmp_path)
    assert engine.calls == [("segment", ["red car", "dog"])]


def test_json_can_go_to_standard_output_alone(photo, tmp_path):
    result = run(FakeEngine(), photo, "dog", "--out", tmp_path, "--json", "-")
    assert json.loads(result.stdout)["phrases"][0]["phrase"] == "dog"
    assert "dog" in result.stderr
    assert not (tmp_path / "photo-segments.json").exists()


def test_json_can_go_to_a_file_of_choice(photo, tmp_path):
    run(FakeEngine(), photo, "dog", "--out", tmp_path, "--json", tmp_path / "answer.json")
    assert json.loads((tmp_path / "answer.json").read_text())["phrases"]


def test_segments_below_the_threshold_are_left_out(photo, tmp_path):
    engine = FakeEngine(scores={"dog": 0.6, "cat": 0.9})
    run(engine, photo, "dog", "cat", "--out", tmp_path, "--threshold", 0.7)
    answer = json.loads((tmp_path / "photo-segments.json").read_text())
    assert [len(phrase["segments"]) for phrase in answer["phrases"]] == [0, 1]


def test_what_was_not_found_is_said(photo, tmp_path):
    result = run(FakeEngine(instances={"[red]unicorn": 0}), photo, "[red]unicorn", "--out", tmp_path)
    assert result.exit_code == 0
    assert "[red]unicorn" in result.output
    assert "not found" in result.output


def test_the_options_choose_the_model(photo, tmp_path):
    asked = []

    def load(profile, **options):
        asked.append((profile, options["device"]))
        return FakeEngine()

    CliRunner().invoke(app, ["segment", str(photo), "dog", "--out", str(tmp_path), "--profile", "big", "--device", "cpu"], obj=load)
    assert asked == [("big", "cpu")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "photo.jpg", id="missing"),
        pytest.param(b"", "photo.jpg", id="empty"),
        pytest.param(b"hello", "photo.jpg", id="not an image"),
    ],
)
def test_a_file_that_is_no_image_is_one_line(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    assert_one_line(run(FakeEngine(), path, "dog", "--out", tmp_path), message)


def test_a_folder_is_no_image(tmp_path):
    assert_one_line(run(FakeEngine(), tmp_path, "dog", "--out", tmp_path), tmp_path.name)


def test_an_empty_expression_is_one_line(photo, tmp_path):
    assert_one_line(run(FakeEngine(), photo, "  ", "--out", tmp_path), "empty expression")


def test_a_folder_that_cannot_be_written_is_one_line(photo):
    assert_one_line(run(FakeEngine(), photo, "dog", "--out", photo / "inside-a-file"), "cannot write the results")


def test_a_model_that_cannot_be_loaded_is_one_line(photo, tmp_path):
    def load(profile, **options):
        raise ValueError("no such profile")

    result = CliRunner().invoke(app, ["segment", str(photo), "dog", "--out", str(tmp_path)], obj=load)
    assert_one_line(result, "no such profile")


def assert_one_line(result: Result, message: str) -> None:
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("wordmask: ")
    assert message in lines[0]
