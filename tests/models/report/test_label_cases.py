"""Images and confusions of labels that the report shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.report.label_cases import MOST_BEST, MOST_WORST, choose_label_cases, most_confused
from models.report.pictures import ImageFinder
from models.types import RgbImage

LABELS = ("road", "sky")
NOWHERE = ImageFinder({"kind": "dataset", "path": "nowhere"}, lambda path: _read(path))


def _read(path: Path) -> RgbImage:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def row(image: str, *pairs: tuple[int, int, int]) -> dict[str, Any]:
    return {"task": "semantic", "image": image, "pairs": [list(pair) for pair in pairs]}


def test_images_are_ordered_by_how_well_their_labels_fit():
    rows = [row("good", (1, 1, 9), (0, 2, 1)), row("bad", (1, 2, 5), (2, 0, 5)), row("empty", (0, 0, 99))]
    cases = choose_label_cases(rows, LABELS, NOWHERE)
    assert [(case.image, case.fit, case.labels) for case in cases] == [("bad", 0.0, LABELS), ("good", 0.9, ("road",))]
    assert cases[0].picture is None


def test_no_image_is_shown_twice_and_not_too_many():
    rows = [row(f"{number}", (1, 1, number), (1, 0, 100 - number)) for number in range(50)]
    cases = choose_label_cases(rows, LABELS, NOWHERE)
    assert len({case.image for case in cases}) == len(cases) == MOST_WORST + MOST_BEST
    assert [case.image for case in cases if case.group == "best"] == ["49", "48", "47", "46", "45", "44"]
    assert len(choose_label_cases(rows[:14], LABELS, NOWHERE)) == 14


def test_confusions_add_up_over_images():
    (first, second) = most_confused([row("a", (1, 2, 5), (1, 1, 5)), row("b", (1, 2, 10), (0, 1, 1))], LABELS)
    assert (first.truth, first.found, first.pixels, first.share) == ("road", "sky", 15, pytest.approx(0.75))
    assert (second.truth, second.found) == ("nothing", "road")
