"""A model card says what evaluation measured, and evaluation notices when it does not."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from models.evaluation import Expression, Sample, evaluate_prompts, evaluate_referring
from models.figures import Figures, SplitScores, figure_tables
from models.model_card import BEGIN, END, ModelCard, ModelCardError
from tests.factories import FakeEngine, fake_mask, make_image, make_mask

VERSION = "tiny-1.0.0+01234567"


@pytest.fixture
def figures() -> Figures:
    image = make_image()
    expressions = (
        Expression("dog", "name", fake_mask(image, "dog")),
        Expression("unicorn", "absent", np.zeros((48, 64), bool)),
    )
    samples = [Sample("one", image, expressions, objects=(make_mask(),))]
    engine = FakeEngine()
    return SplitScores(1, evaluate_referring(engine, samples), evaluate_prompts(engine, samples)).to_json()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "MODEL_CARD.md"
    path.write_text(f"# Tiny\n\nprose above\n\n{BEGIN}\n{END}\n\nprose below\n")
    return path


def test_written_figures_are_read_back(card, figures):
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    assert ModelCard(card).figures == {"version": VERSION, "splits": {"held-out-scenes": figures}}


def test_prose_around_the_figures_stays(card, figures):
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    assert card.read_text().startswith("# Tiny\n\nprose above\n\n<!--")
    assert card.read_text().endswith("-->\n\nprose below\n")


def test_prose_that_was_written_during_the_evaluation_stays(card, figures):
    opened = ModelCard(card)
    card.write_text(card.read_text().replace("prose above", "better prose"))
    opened.write(VERSION, {"held-out-scenes": figures})
    assert card.read_text().startswith("# Tiny\n\nbetter prose\n\n<!--")
    assert ModelCard(card).figures["version"] == VERSION


def test_writing_twice_changes_nothing(card, figures):
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    once = card.read_text()
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    assert card.read_text() == once


def test_people_find_a_table_per_split(card, figures):
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    assert "### held-out-scenes (1 scenes)" in card.read_text()
    assert "| name | 1 | 1.000 | 1.000-1.000 |" in card.read_text()


def test_other_splits_of_the_same_weights_stay(card, figures):
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    ModelCard(card).write(VERSION, {"openmoji": figures})
    assert list(ModelCard(card).figures["splits"]) == ["held-out-scenes", "openmoji"]


def test_figures_of_other_weights_go(card, figures):
    ModelCard(card).write(VERSION, {"held-out-scenes": figures})
    ModelCard(card).write("tiny-2.0.0+89abcdef", {"openmoji": figures})
    assert list(ModelCard(card).figures["splits"]) == ["openmoji"]


def test_equal_figures_do_not_differ(card, figures):
    ModelCard(card).write(VERSION, {"s": figures})
    assert ModelCard(card).differences(VERSION, {"s": figures}, 0.0) == []


@pytest.mark.parametrize(("shift", "differs"), [(0.004, False), (0.02, True)], ids=["within tolerance", "beyond"])
def test_a_figure_may_differ_by_the_tolerance(card, figures, shift, differs):
    quoted = copy.deepcopy(figures)
    quoted["referring"]["name"]["targets"]["miou"] -= shift
    ModelCard(card).write(VERSION, {"s": quoted})
    lines = ModelCard(card).differences(VERSION, {"s": figures}, 0.01)
    assert bool(lines) is differs
    assert all(line.startswith("s: referring.name.targets.miou is") for line in lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda card: card.update(version="other"), "weights other", id="other weights"),
        pytest.param(lambda card: card["splits"].clear(), "s: not in the card", id="split missing"),
        pytest.param(lambda card: card["splits"]["s"].update(scenes=2), "of 2 scenes", id="other number of scenes"),
        pytest.param(lambda card: card["splits"]["s"]["referring"]["name"].update(n=9), "name.n is 9", id="other sample"),
        pytest.param(lambda card: card["splits"]["s"]["referring"].pop("name"), "name.n is None", id="kind missing"),
    ],
)
def test_what_cannot_be_compared_differs(card, figures, change, message):
    model_card = ModelCard(card)
    model_card.write(VERSION, {"s": copy.deepcopy(figures)})
    change(model_card.figures)
    assert any(message in line for line in model_card.differences(VERSION, {"s": figures}, 1.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("# no markers", "has no place for figures", id="no markers"),
        pytest.param(f"{BEGIN}\n```json\n{{\n```\n{END}", "are not JSON", id="broken JSON"),
    ],
)
def test_a_card_that_cannot_be_read_is_named(card, text, message):
    card.write_text(text)
    with pytest.raises(ModelCardError, match=message):
        ModelCard(card)


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(ModelCardError, match="cannot read the model card"):
        ModelCard(tmp_path / "none.md")


def test_rows_fit_their_headers(figures):
    for header, rows in figure_tables(figures):
        assert {len(row) for row in rows} == {len(header)}


def test_without_clicks_there_is_one_table(figures):
    assert len(figure_tables(figures)) == 2
    assert len(figure_tables(figures | {"prompts": None})) == 1
