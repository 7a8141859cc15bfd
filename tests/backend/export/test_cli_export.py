"""The command `wordmask export`: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from backend.cli import app
from tests.export_factories import CONFIG, annotated, brush_region, read_json, ring_and_island, write_tasks

Command = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "config.xml").write_text(CONFIG, encoding="utf-8")
    good = annotated(7, [brush_region(ring_and_island())])
    write_tasks(tmp_path / "good.json", [good])
    write_tasks(tmp_path / "bad.json", [good, annotated(8, [brush_region(ring_and_island(), "r8", ["Horse"])])])

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["export", *arguments, "--sizes", "regions", "--processes", "1"])

    return command


def test_an_export_file_is_written_and_counted(run: Command, tmp_path: Path) -> None:
    done = run("coco", "--file", "good.json", "--label-config", "config.xml", "--out", "out")
    assert done.exit_code == 0, done.output
    assert "1 masks on 1 images (0 without any) of 1 tasks written to out; 0 errors, 0 warnings, 0 notes" in done.output
    assert len(read_json(tmp_path / "out" / "instances.json")["annotations"]) == 1


def test_what_is_left_out_is_printed_and_the_exit_code_says_so(run: Command, tmp_path: Path) -> None:
    done = run("coco", "--file", "bad.json", "--label-config", "config.xml", "--out", "out")
    assert done.exit_code == 3
    assert "error: task 8, annotation 108, region r8: the label 'Horse' is not in the labeling config" in done.output
    assert read_json(tmp_path / "out" / "report.json")["counts"]["errors"] == 1


def test_a_dry_run_says_the_same_and_writes_nothing(run: Command, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    done = run("coco", "--file", "bad.json", "--label-config", "config.xml", "--out", "out", "--dry-run")
    assert done.exit_code == 3
    assert "region r8" in done.output
    assert "would be written" in done.output
    assert set(tmp_path.iterdir()) == before


def test_strict_stops_with_one_line(run: Command, tmp_path: Path) -> None:
    done = run("coco", "--file", "bad.json", "--label-config", "config.xml", "--out", "out", "--strict")
    assert done.exit_code == 1
    assert "wordmask: error: task 8" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_earlier_export_is_replaced_on_request_only(run: Command, tmp_path: Path) -> None:
    arguments = ("coco", "--file", "good.json", "--out", "out")
    assert run(*arguments).exit_code == 0
    assert run(*arguments).exit_code == 1
    assert run(*arguments, "--overwrite", "--polygons").exit_code == 0
    assert isinstance(read_json(tmp_path / "out" / "instances.json")["annotations"][0]["segmentation"], list)


def test_a_folder_that_is_no_export_is_never_replaced(run: Command, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years", encoding="utf-8")
    done = run("coco", "--file", "good.json", "--out", "out", "--overwrite")
    assert done.exit_code == 1
    assert "no earlier export" in done.stderr
    assert (tmp_path / "out" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((), "either --project", id="no tasks"),
        pytest.param(("--file", "good.json", "--project", "1"), "either --project", id="both"),
        pytest.param(("--project", "1"), "LABEL_STUDIO_URL is not set", id="no Label Studio"),
        pytest.param(("--file", "missing.json"), "cannot read missing.json", id="no file"),
        pytest.param(("--file", "good.json", "--label-config", "missing.xml"), "cannot read the labeling config", id="no config"),
        pytest.param(("--file", "good.json", "--label-config", "good.json"), "is not XML", id="a config that is none"),
        pytest.param(("--file", "good.json", "--split", "train"), "cannot read the split", id="no share"),
        pytest.param(("--file", "good.json", "--split", "a=1", "--split-field", "x"), "give one of them", id="two splits"),
        pytest.param(("--file", "good.json", "--crowd", "Mouse"), "is no label", id="no such crowd"),
        pytest.param(("--file", "good.json", "--image-root", "missing"), "is no folder", id="no image folder"),
    ],
)
def test_mistakes_of_the_caller_are_one_line(run: Command, arguments: tuple[str, ...], message: str) -> None:
    done = run("coco", *arguments, "--out", "out")
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_both_orders_of_the_same_tasks_give_the_same_categories(run: Command, tmp_path: Path) -> None:
    tasks = [annotated(n, [brush_region(ring_and_island(), labels=[label])]) for n, label in enumerate(["Zebra", "Ape", "Cow"], 1)]
    names = []
    for name, ordered in (("one", tasks), ("other", tasks[::-1])):
        write_tasks(tmp_path / f"{name}.json", ordered)
        assert run("coco", "--file", f"{name}.json", "--out", name).exit_code == 0
        names.append([category["name"] for category in read_json(tmp_path / name / "instances.json")["categories"]])
    assert names == [["Ape", "Cow", "Zebra"]] * 2


def test_a_byte_order_mark_and_lines_of_tasks_are_read(run: Command, tmp_path: Path) -> None:
    tasks = [annotated(n, [brush_region(ring_and_island())]) for n in (1, 2)]
    (tmp_path / "bom.json").write_text("\ufeff" + json.dumps(tasks), encoding="utf-8")
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")
    written = []
    for name in ("bom.json", "lines.jsonl"):
        assert run("coco", "--file", name, "--out", f"out-{name}").exit_code == 0
        written.append(read_json(tmp_path / f"out-{name}" / "instances.json")["annotations"])
    assert written[0] == written[1]
    assert len(written[0]) == 2
