"""The report of an evaluation in a real browser: its pictures, its filters, its keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from backend.cli import app
from tests.evaluation_world import knowing_engine, write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.browser]

NARROW = {"width": 380, "height": 800}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``a/report.html`` of all tasks, and ``comparison.html`` with a worse second evaluation."""
    folder = tmp_path_factory.mktemp("reports")
    data = write_dataset(folder / "pets", 6).path
    tasks = ["--task", "referring", "--task", "semantic", "--task", "instances"]
    engines = {"a": knowing_engine(), "b": knowing_engine(version="fake-2.0.0+00000000", instances={"the ghost": 2, "dog": 0})}
    for name, engine in engines.items():
        words = ["evaluate", "--dataset", str(data), "--out", str(folder / name), *tasks]
        assert CliRunner().invoke(app, words, obj=lambda profile, engine=engine, **options: engine).exit_code == 0
    words = ["evaluate", "compare", str(folder / "a"), str(folder / "b"), "--out", str(folder)]
    assert CliRunner().invoke(app, words).exit_code == 0
    return folder


class Watched:
    """A page that remembers what its console said and what it asked the network for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    page = browser.new_page()
    yield Watched(page)
    page.close()


def visible(page: Page) -> int:
    return page.locator("[data-gallery] .case:visible").count()


@pytest.mark.parametrize("name", ["a/report.html", "comparison.html"])
def test_every_picture_is_there_and_nothing_is_fetched(watched: Watched, reports: Path, name: str) -> None:
    page = watched.open(reports / name)
    widths = page.eval_on_selector_all(".case img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 6
    assert min(widths) > 0
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []
    assert watched.complaints == []


def test_images_with_labels_are_shown_too(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "a" / "report.html")
    assert page.locator(".labelled img").count() == 6
    assert page.locator(".labelled b").first.inner_text() == "dog, cat"


def test_filters_choose_pictures_and_rows_and_say_what_is_left(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "a" / "report.html")
    every = visible(page)
    page.fill("[name=text]", "GHOST")
    assert page.locator("#rows tbody tr").count() == 6
    assert "6 of 18 expressions" in page.inner_text("#summary")
    assert "N-acc 1.000" in page.inner_text("#summary")
    page.click("[type=reset]")
    page.wait_for_function("document.querySelectorAll('#rows tbody tr').length === 18")
    assert visible(page) == every

    page.select_option("[name=label]", "cat")
    assert "6 of 18 expressions: mIoU 0.500, oIoU 0.500" in page.inner_text("#summary")
    page.select_option("[name=label]", "")
    page.select_option("[name=kind]", "name")
    page.fill("[name=low]", "0.9")
    assert set(page.locator("#rows tbody th").all_inner_texts()) == {"dog"}
    page.select_option("[name=outcome]", "missed")
    assert visible(page) == 0
    assert page.locator(".empty:visible").count() == 2
    assert watched.complaints == []


def test_the_other_protocol_is_one_key_away(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "a" / "report.html")
    before = page.locator(".tiles:visible .value").first.inner_text()
    page.focus("[name=protocol][value=clean]")
    page.keyboard.press("ArrowRight")
    assert page.locator(".tiles:visible").count() == 1
    assert page.locator(".tiles:visible .value").first.inner_text() != before
    assert watched.complaints == []


def test_a_table_is_sorted_by_its_heads(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "a" / "report.html")
    table = page.locator("[data-protocol=clean] table", has_text="label").last
    head = table.get_by_role("columnheader", name="mIoU", exact=True)
    head.get_by_role("button").click()
    assert table.locator("tbody th").all_inner_texts() == ["dog", "cat"]
    head.get_by_role("button").press("Enter")
    assert table.locator("tbody th").all_inner_texts() == ["cat", "dog"]
    assert head.get_attribute("aria-sort") == "ascending"


def test_a_picture_is_enlarged_and_closed_by_keyboard(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "comparison.html")
    page.locator(".zoom").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#large-pictures img").count() == 2
    assert "first: IoU" in page.inner_text("#large-caption")
    page.keyboard.press("Escape")
    assert page.locator("#large").is_hidden()


def test_changes_are_filtered_by_their_size(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "comparison.html")
    assert page.locator("td.worse").count() > 0
    page.fill("[name=low]", "-0.5")
    assert page.locator("#rows tbody th").all_inner_texts() == ["cat"] * 6, "dogs and ghosts lost a whole IoU of 1"
    assert watched.complaints == []


@pytest.mark.parametrize("name", ["a/report.html", "comparison.html"])
def test_a_narrow_window_needs_no_sideways_scrolling(watched: Watched, reports: Path, name: str) -> None:
    watched.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    page = watched.open(reports / name)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(browser: Browser, reports: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto((reports / "a" / "report.html").as_uri())
    for selector in ("body", ".note", ".product", "a"):
        colours = page.eval_on_selector(selector, "element => getComputedStyle(element).color")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert _contrast(colours, paper) >= 4.5, selector
    page.close()


def _contrast(one: str, other: str) -> float:
    """Ratio of luminances by WCAG, of two ``rgb(r, g, b)``."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [float(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_field_has_a_name(watched: Watched, reports: Path) -> None:
    page = watched.open(reports / "a" / "report.html")
    unnamed = page.eval_on_selector_all(
        "input, select, button, img, svg[role=img]",
        "all => all.filter(one => !(one.labels?.length || one.ariaLabel || one.alt || one.textContent.trim())).map(one => one.outerHTML)",
    )
    assert unnamed == []
