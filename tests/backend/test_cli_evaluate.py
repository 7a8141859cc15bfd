"""``wordmask evaluate`` prints what it measured and holds the model card to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backend.cli import app
from backend.cli.evaluate import SPLIT_HELP
from models.evaluation_splits import REPORTED_SPLITS
from models.model_card import BEGIN, END
from tests.emoji_world import write_split
from tests.factories import FakeEngine

SCENES = 3


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    for split in ("held-out-scenes", "backgrounds"):
        write_split(folder, split, SCENES)
    return folder


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "MODEL_CARD.md"
    path.write_text(f"# Tiny\n{BEGIN}\n{END}\n")
    return path


def run(data_dir: Path, *arguments: object, engine: FakeEngine | None = None) -> Result:
    arguments = ("evaluate", "--data", data_dir, "--scenes", SCENES, *arguments)
    return CliRunner().invoke(app, [str(one) for one in arguments], obj=lambda profile, **options: engine or FakeEngine())


def test_help_names_every_split():
    """By hand there, for the command line does without PyTorch until it has work to do."""
    assert all(name in SPLIT_HELP for name in REPORTED_SPLITS)


def test_json_goes_to_standard_output_and_tables_to_people(data_dir):
    result = run(data_dir)
    figures = json.loads(result.stdout)
    assert figures["version"] == FakeEngine().version
    assert figures["splits"]["held-out-scenes"]["scenes"] == SCENES
    assert "held-out-scenes, 3 scenes" in result.stderr
    assert "random inner point" in result.stderr


def test_another_split_can_be_chosen(data_dir):
    assert list(json.loads(run(data_dir, "--split", "backgrounds").stdout)["splits"]) == ["backgrounds"]


def test_json_can_be_kept(data_dir, tmp_path):
    result = run(data_dir, "--json", tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(result.stdout)


def test_a_card_that_was_written_agrees(data_dir, card):
    assert run(data_dir, "--card", card, "--write").exit_code == 0
    result = run(data_dir, "--card", card, "--check")
    assert result.exit_code == 0, result.stderr
    assert "agrees" in result.stderr


def test_a_card_that_says_something_else_fails(data_dir, card):
    run(data_dir, "--card", card, "--write")
    result = run(data_dir, "--card", card, "--check", engine=FakeEngine(version="fake-2.0.0+11111111"))
    assert result.exit_code == 1
    assert "fake-2.0.0+11111111" in result.stderr


def test_a_figure_that_moved_fails_and_is_named(data_dir, card):
    run(data_dir, "--card", card, "--write")
    found = json.loads(run(data_dir).stdout)["splits"]["held-out-scenes"]["prompts"]["box"]["miou"]
    card.write_text(card.read_text().replace(f'"miou": {found}', '"miou": 0.0123'))
    result = run(data_dir, "--card", card, "--check")
    assert result.exit_code == 1
    assert f"prompts.box.miou is 0.0123 in the card, measured {found}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--split", "train"], "unknown split 'train'", id="unknown split"),
        pytest.param(["--check"], "--card goes with", id="check without card"),
        pytest.param(["--card", "card.md"], "--card goes with", id="card without purpose"),
        pytest.param(["--card", "missing.md", "--check"], "cannot read the model card", id="card missing"),
        pytest.param(["--json", "no/such/folder/file.json"], "cannot write", id="no folder for the JSON"),
    ],
)
def test_mistakes_are_one_line(data_dir, arguments, message):
    result = run(data_dir, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]


def test_scenes_that_cannot_be_made_are_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "npm was not found" in result.stderr
