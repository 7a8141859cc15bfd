"""The files of an evaluation: written whole or not at all, read back, and refused when they are something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.results.document import Results, ResultsError, RowWriter, Skipped, load_results, save_results
from tests.evaluation_world import make_results


def write(folder: Path, rows: list[dict[str, int]] | None = None) -> Results:
    path = folder / "results.json"
    with RowWriter(path) as writer:
        for row in rows or [{"a": 1}, {"b": 2}]:
            writer.add(row)
        return save_results(path, make_results(rows=writer.close()))


def test_rows_and_figures_come_back(tmp_path):
    write(tmp_path)
    results = load_results(tmp_path / "results.json")
    assert list(results.rows()) == [{"a": 1}, {"b": 2}]
    assert results.figures["rows"]["count"] == 2
    assert results.title == "fake-1.0.0+00000000 on set, val"


def test_the_same_rows_give_the_same_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert (tmp_path / "one" / "results.rows.jsonl.gz").read_bytes() == (tmp_path / "two" / "results.rows.jsonl.gz").read_bytes()


def test_an_evaluation_that_fails_leaves_no_file(tmp_path):
    with RowWriter(tmp_path / "results.json") as writer:
        writer.add({"a": 1})  # and never closed, as when an error leaves the block
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_run_are_refused(tmp_path):
    results = write(tmp_path)
    with RowWriter(results.path) as writer:
        writer.add({"other": 1})
        writer.close()
    with pytest.raises(ResultsError, match="does not belong to"):
        list(results.rows())


def test_missing_rows_are_named(tmp_path):
    results = write(tmp_path)
    (tmp_path / "results.rows.jsonl.gz").unlink()
    with pytest.raises(ResultsError, match=r"results.rows.jsonl.gz: No such file.*keep both files together"):
        list(results.rows())


def test_rows_are_looked_for_beside_the_figures_only(tmp_path):
    results = write(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    results.figures["rows"]["file"] = "../results.rows.jsonl.gz"
    with pytest.raises(ResultsError, match="are missing"):
        list(Results(elsewhere / "results.json", results.figures).rows())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "is no JSON", id="broken JSON"),
        pytest.param("[]", "holds no results of an evaluation", id="a list"),
        pytest.param('{"format": "coco"}', "holds no results of an evaluation", id="something else"),
        pytest.param('{"format": "wordmask-evaluation", "version": 99}', "has version 99, this program reads version 1", id="newer"),
        pytest.param('{"format": "wordmask-evaluation", "version": 1}', "lacks the fields command, wordmask", id="fields missing"),
    ],
)
def test_files_that_are_no_results_are_refused(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ResultsError, match=message):
        load_results(tmp_path / "results.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ResultsError, match=r"cannot read the results .*nothing.json: No such file"):
        load_results(tmp_path / "nothing.json")


def test_results_without_a_field_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="lack the fields rows"):
        save_results(tmp_path / "results.json", make_results())


def test_everything_skipped_is_counted_and_the_first_hundred_are_listed():
    skipped = Skipped()
    for number in range(120):
        skipped.add(f"{number}.png", "image", "is gone")
    written = json.loads(json.dumps(skipped.to_json()))
    assert (written["count"], len(written["examples"])) == (120, 100)
    assert written["examples"][0] == {"image": "0.png", "what": "image", "why": "is gone"}
