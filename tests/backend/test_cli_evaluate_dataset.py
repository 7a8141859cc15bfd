"""``wordmask evaluate`` on data sets, on COCO files, and two evaluations side by side: files, tables, one-line errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backend.cli import app
from backend.cli.export import SOMETHING_LEFT_OUT
from tests.coco_world import LEFT, RIGHT, annotation, dataset
from tests.emoji_world import write_split
from tests.evaluation_world import knowing_engine, write_dataset
from tests.factories import FakeEngine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "pets").path


def run(*arguments: object, engine: FakeEngine | None = None) -> Result:
    words = ["evaluate", *map(str, arguments)]
    return CliRunner().invoke(app, words, obj=lambda profile, **options: engine or knowing_engine())


def figures_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def test_tables_are_for_people_and_json_for_programs(folder):
    result = run("--dataset", folder, "--dataset-split", "val")
    figures = figures_of(result)
    assert figures["weights"] == {"name": "fake", "version": "fake-1.0.0+00000000"}
    assert figures["data"]["images"] == 4
    assert figures["referring"]["clean"]["by_kind"]["all"]["n"] == 12
    assert "pets, split val, 4 images" in result.stderr
    assert "words, protocol clean" in result.stderr
    assert "words, protocol official" in result.stderr


def test_the_command_that_reproduces_the_figures_stands_in_them(folder):
    figures = figures_of(run("--dataset", folder, "--task", "semantic", "--task", "instances", "--skip-broken"))
    assert figures["command"].endswith(f"evaluate --dataset {folder} --task semantic --task instances --skip-broken")


def test_labels_have_tables_too(folder):
    result = run("--dataset", folder, "--task", "semantic", "--task", "instances")
    figures = figures_of(result)
    assert figures["semantic"]["background"]["iou"] == {"dog": 1.0, "cat": 0.5}
    assert "pixel accuracy" in result.stderr
    assert "AP at IoU .50" in result.stderr


def test_results_rows_and_report_are_kept(folder, tmp_path):
    out = tmp_path / "out"
    printed = figures_of(run("--dataset", folder, "--out", out))
    assert {path.name for path in out.iterdir()} == {"results.json", "results.rows.jsonl.gz", "report.html"}
    assert json.loads((out / "results.json").read_text()) == printed
    with gzip.open(out / "results.rows.jsonl.gz", "rt") as lines:
        assert sum(1 for _ in lines) == printed["rows"]["count"] == 12
    report = (out / "report.html").read_text()
    assert report.count("data:image/jpeg;base64,") >= 4
    assert "http:" not in report
    assert "https:" not in report


def test_the_same_evaluation_writes_the_same_rows(folder, tmp_path):
    for name in ("a", "b"):
        run("--dataset", folder, "--out", tmp_path / name)
    first, second = (json.loads((tmp_path / name / "results.json").read_text())["rows"] for name in ("a", "b"))
    assert first == second


def test_words_cannot_break_out_of_the_report(tmp_path):
    from models.data.dataset_folder import DatasetFolder, DatasetWriter
    from models.data.sample import Expression, Sample

    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    good = write_dataset(tmp_path / "good", 1)
    (sample,) = good
    with DatasetWriter(tmp_path / "evil", "tests") as writer:
        image = str(good.image_path(sample))
        writer.add(Sample(image, sample.size_hw, None, sample.targets, (Expression(evil, (1,), evil),)))
        writer.commit()
    assert DatasetFolder(tmp_path / "evil").manifest.counts["expressions"] == 1
    assert run("--dataset", tmp_path / "evil", "--out", tmp_path / "out").exit_code == 0
    report = (tmp_path / "out" / "report.html").read_text()
    assert "alert(1)" in report, "the words are shown"
    assert "<script>alert" not in report
    assert "<img src=x" not in report


def test_scenes_have_a_report_too(tmp_path):
    write_split(tmp_path / "data", "held-out-scenes", 3)
    out = tmp_path / "out"
    plain = run("--data", tmp_path / "data", "--scenes", 3)
    kept = run("--data", tmp_path / "data", "--scenes", 3, "--out", out)
    assert json.loads(kept.stdout) == json.loads(plain.stdout), "what is printed stays the same"
    results = json.loads((out / "results.json").read_text())
    assert results["prompts"] == json.loads(plain.stdout)["splits"]["held-out-scenes"]["prompts"]
    assert (
        results["referring"]["clean"]["by_kind"]["all"]["n"]
        == json.loads(plain.stdout)["splits"]["held-out-scenes"]["referring"]["all"]["n"]
    )
    assert "random inner point" in (out / "report.html").read_text()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("two")
    pets = write_dataset(out / "pets", 6).path
    run("--dataset", pets, "--out", out / "a")
    run("--dataset", pets, "--out", out / "b", engine=knowing_engine(version="fake-2.0.0+00000000", instances={"the ghost": 1}))
    return out / "a", out / "b"


def test_two_evaluations_are_compared(two, tmp_path):
    result = run("compare", *two, "--out", tmp_path)
    figures = figures_of(result)
    n_acc = figures["referring"]["clean"]["by_kind"]["all"]["n_acc"]
    assert (n_acc["a"], n_acc["b"], n_acc["verdict"]) == (1.0, 0.0, "worse")
    assert figures["a"]["weights"]["version"] == "fake-1.0.0+00000000"
    assert json.loads((tmp_path / "comparison.json").read_text()) == figures
    assert "fake-2.0.0+00000000 against fake-1.0.0+00000000" in (tmp_path / "comparison.html").read_text()
    assert "second: fake-2.0.0+00000000 on pets" in result.stderr


def test_files_can_be_named_instead_of_folders(two):
    assert run("compare", two[0] / "results.json", two[1] / "results.json").exit_code == 0


def test_evaluations_of_other_samples_are_not_compared(two, folder, tmp_path):
    run("--dataset", folder, "--limit", 2, "--out", tmp_path)
    result = run("compare", two[0], tmp_path)
    assert result.exit_code == 1
    assert "the samples differ" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_coco_files_are_compared_without_a_model(tmp_path):
    truth = dataset([annotation(1, LEFT), annotation(2, RIGHT, 2)])
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps([annotation(1, LEFT, score=1.0)]))
    arguments = ["evaluate", "coco", str(tmp_path / "truth.json"), str(tmp_path / "found.json"), "--json", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(app, arguments)
    assert figures_of(result)["ap_by_label"] == {"dog": 1.0, "cat": 0.0}
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(result.stdout)
    assert "AP by label" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--dataset", "nowhere"], "no data set at nowhere", id="no data set"),
        pytest.param(["--dataset", "DATA", "--dataset-split", "testC"], "has no split 'testC'; it has val", id="unknown split"),
        pytest.param(
            ["--dataset", "DATA", "--task", "sing"], "unknown task 'sing'; the tasks are referring, semantic, instances", id="task"
        ),
        pytest.param(["--dataset", "DATA", "--card", "card.md", "--check"], "a model card is about scenes", id="card of a data set"),
        pytest.param(["--task", "semantic"], "go with --dataset", id="task without data set"),
        pytest.param(["--dataset", "DATA", "--out", "DATA/manifest.json/out"], "cannot write", id="no folder for the report"),
        pytest.param(["compare", "nowhere.json", "nowhere.json"], "cannot read the results nowhere.json", id="no results"),
        pytest.param(["compare", "DATA/manifest.json", "DATA/manifest.json"], "holds no results of an evaluation", id="other JSON"),
        pytest.param(["coco", "DATA/manifest.json", "DATA/manifest.json"], "is no COCO data set", id="no COCO file"),
    ],
)
def test_mistakes_are_one_line(folder, arguments, message):
    result = run(*(word.replace("DATA", str(folder)) for word in arguments))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert message in line


def test_a_missing_image_is_one_line_and_can_be_skipped(tmp_path):
    folder = write_dataset(tmp_path / "pets").path
    (folder / "images" / "1.png").unlink()
    result = run("--dataset", folder)
    assert result.exit_code == 1
    assert "1 of 4 images are not in" in result.stderr
    skipping = run("--dataset", folder, "--skip-broken", "--out", tmp_path / "out")
    assert skipping.exit_code == SOMETHING_LEFT_OUT
    assert json.loads(skipping.stdout)["skipped"]["count"] == 1
    assert "skipped images/1.png: image" in skipping.stderr
    assert "images/1.png: image" in (tmp_path / "out" / "report.html").read_text()


def test_a_report_without_its_images_says_so(folder, tmp_path):
    moved = write_dataset(tmp_path / "pets", 2)
    run("--dataset", moved.path, "--out", tmp_path / "a")
    for image in (moved.path / "images").iterdir():
        image.unlink()
    compared = run("compare", tmp_path / "a", tmp_path / "a", "--out", tmp_path / "b")
    assert compared.exit_code == 0, compared.stderr
    assert "data:image/jpeg" not in (tmp_path / "b" / "comparison.html").read_text()
