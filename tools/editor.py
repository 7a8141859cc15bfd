"""Label Studio's page in a headless Chromium: what an annotator does, one method per step."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Browser, Page, Response, sync_playwright

from tools.ensure_chromium import ARGUMENTS, ensure_chromium

WINDOW = {"width": 1500, "height": 1300}
"""High enough that image, labels and prompt fit without scrolling."""

ACCEPT = ".lsf-auto-accept__action_type_accept"


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium, closed at the end.

    Raises:
        NoChromiumError: there is none and none could be installed.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ensure_chromium(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Editor:
    """The editor as one annotator sees it.

    Args:
        browser: where to open the page.
        url: address of Label Studio.
        timeout_seconds: how long any step may take.
    """

    def __init__(self, browser: Browser, url: str, timeout_seconds: float = 60.0) -> None:
        self._url = url
        self.page: Page = browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]
        self.page.set_default_timeout(timeout_seconds * 1000)

    def close(self) -> None:
        """Close the page."""
        self.page.close()

    def log_in(self, email: str, password: str) -> None:
        """Log in on the start page."""
        self.page.goto(f"{self._url}/user/login/")
        self.page.fill("input[name=email]", email)
        self.page.fill("input[name=password]", password)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_url(lambda url: "/user/login" not in url)

    def open_task(self, project: int, task: int) -> None:
        """Open a task, wait until its image is drawn, and show all of it."""
        self.page.goto(f"{self._url}/projects/{project}/data?task={task}")
        self.page.wait_for_selector(".konvajs-content canvas")
        self.page.wait_for_load_state("networkidle")
        # Label Studio fits the image before its toolbar takes some of the width, so its right edge lies outside at first.
        self.page.keyboard.press("Shift+Digit1")

    def turn_on_auto_annotation(self) -> None:
        """Flip the switch without which Label Studio asks no backend."""
        self.page.get_by_text("Auto-Annotation").click()

    def type_prompt(self, text: str) -> None:
        """Submit a text in the TextArea and wait until suggestions are drawn."""
        self.page.fill("[name=prompt]", text)  # an input or, with several rows, a textarea
        self.page.get_by_role("button", name="Add", exact=True).click()
        self.page.wait_for_selector(ACCEPT)

    def accept_suggestions(self) -> None:
        """Take all suggestions over into the annotation."""
        self.page.click(ACCEPT)
        self.page.wait_for_selector(ACCEPT, state="detached")

    def region_labels(self) -> list[str]:
        """Labels of the regions in the list at the right."""
        return [text.strip() for text in self.page.locator(".lsf-outliner-item__title").all_inner_texts()]

    def canvas(self) -> npt.NDArray[np.uint8]:
        """What is drawn where the image lies, uint8 ``[H, W, 3]`` in pixels of the screen."""
        png = self.page.locator(".konvajs-content").first.screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def submit(self) -> None:
        """Press Submit and wait until Label Studio has stored the annotation."""
        with self.page.expect_response(_stores_annotation) as stored:
            self.page.locator("button:has-text('Submit')").click()
        assert stored.value.ok, f"Label Studio answered Submit with {stored.value.status}"

    def screenshot(self, path: Path) -> None:
        """Save what the page shows as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)


def _stores_annotation(response: Response) -> bool:
    return response.request.method == "POST" and "/annotations" in response.url
