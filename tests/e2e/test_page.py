"""The service's page in a real Chromium: complete without the network, usable by keyboard and on a phone, and the way back is one click."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from backend.app import create_app
from backend.versions.line import VersionLine
from tests.backend.page.world import PROJECT, ask_for_jobs, publish_two_versions, record_correction, see_project
from tests.e2e.test_evaluation_report import _contrast
from tests.factories import FakeEngine, make_settings

pytestmark = [pytest.mark.slow, pytest.mark.browser]

NARROW = {"width": 380, "height": 800}
WIDE = {"width": 1180, "height": 900}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder in which something has happened."""
    publish_two_versions(tmp_path)
    see_project(tmp_path)
    ask_for_jobs(tmp_path)
    record_correction(tmp_path)
    return tmp_path


def serve(data_dir: Path) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(make_settings(data_dir), FakeEngine()), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(data_dir: Path) -> Iterator[str]:
    yield from serve(data_dir)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
    yield opened
    opened.close()


def test_everything_is_there_and_nothing_is_fetched_elsewhere(page: Page, url: str) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    page.locator(".pair").scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.locator(".pair img").count() == 2
    assert page.locator("svg.chart").count() == 3
    assert [one for one in requests if not one.startswith((url, "data:"))] == []
    assert complaints == []


def test_one_click_lets_the_version_before_serve_again(page: Page, url: str, data_dir: Path) -> None:
    page.goto(url)
    assert page.locator("tr.serves .name").inner_text() == "base.p3.v2"
    page.get_by_role("button", name="Let version 1 serve").press("Enter")
    page.wait_for_url(f"{url}#project-{PROJECT}")
    assert page.locator("tr.serves .name").inner_text() == "base.p3.v1"
    assert VersionLine(data_dir, PROJECT).serving().name == "base.p3.v1"


def test_another_page_cannot_press_the_button(page: Page, url: str, data_dir: Path) -> None:
    form = f'<form method="post" action="{url}projects/{PROJECT}/serving"><input name="to" value="base"><button>win</button></form>'
    page.route("http://evil.example/**", lambda route: route.fulfill(content_type="text/html", body=form))
    page.goto("http://evil.example/")
    with page.expect_response(lambda response: "/serving" in response.url) as answer:
        page.get_by_role("button", name="win").click()
    assert answer.value.status == 403
    assert VersionLine(data_dir, PROJECT).serving().name == "base.p3.v2"


def test_the_page_looks_again_while_a_job_runs(page: Page, url: str) -> None:
    page.goto(url)
    assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_sideways_scrolling_and_text_has_contrast(
    browser: Browser, url: str, scheme: str, artefacts: Path
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport=NARROW)  # type: ignore[arg-type]
    page.goto(url)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for selector in ("body", ".note", "a", ".better", ".state.failed", ".state.finished, .state.serves", ".soft"):
        colour = page.eval_on_selector(selector, "element => getComputedStyle(element).color")
        assert _contrast(colour, paper) >= 4.5, selector
    page.screenshot(path=artefacts / f"page-narrow-{scheme}.png", full_page=True)
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.screenshot(path=artefacts / f"page-{scheme}.png", full_page=True)
    page.close()


def test_a_new_service_has_a_page_that_says_what_to_do(page: Page, tmp_path: Path, artefacts: Path) -> None:
    for url in serve(tmp_path):
        page.goto(url)
        assert page.locator(".empty").count() == 3
        page.screenshot(path=artefacts / "page-empty.png", full_page=True)
