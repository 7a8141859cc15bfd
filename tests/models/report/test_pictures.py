"""Pictures of the report: small, coloured by what is right, and absent rather than wrong."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.evaluation_splits import scene_samples
from models.report.cases import MOST_BEST, MOST_WORST, choose_cases, outcome_of
from models.report.pictures import MISSED, RIGHT, TOO_MUCH, ImageFinder, draw_case
from models.results.rows import DRAWN_SIDE, to_drawn
from models.types import RgbImage
from tests.emoji_world import write_split
from tests.evaluation_world import make_row, write_dataset
from tests.factories import make_image, make_mask


def read(path: Path) -> RgbImage:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def decode(uri: str) -> RgbImage:
    kind, _, code = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(BytesIO(base64.b64decode(code))))


def test_colours_say_what_is_right_missed_and_too_much():
    truth, found = make_mask((200, 200), (20, 20, 120, 180)), make_mask((200, 200), (70, 20, 170, 180))
    row = make_row(truth_drawn=to_drawn(truth), found_drawn=to_drawn(found))
    picture = decode(draw_case(make_image((200, 200), (128, 128, 128)), row)).astype(int)
    for x, colour in ((45, MISSED), (95, RIGHT), (145, TOO_MUCH)):
        expected = 0.4 * 128 + 0.6 * np.array(colour)
        assert np.abs(picture[100, x] - expected).max() < 12
    assert np.abs(picture[100, 190] - 128).max() < 6, "what neither covers stays grey"


def test_large_images_become_small_pictures():
    mask = make_mask((1200, 1600), (0, 0, 800, 800))
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    uri = draw_case(noise, make_row(truth_drawn=to_drawn(mask), found_drawn=to_drawn(mask)))
    assert decode(uri).shape == (240, DRAWN_SIDE, 3)
    assert len(uri) < 60_000


def test_images_of_a_data_set_are_found_and_missing_ones_are_none(tmp_path):
    folder = write_dataset(tmp_path / "set")
    finder = ImageFinder({"kind": "dataset", "path": str(folder.path)}, read)
    assert np.array_equal(finder.find("images/2.png"), make_image(colour=(42, 80, 120)))
    assert finder.find("images/9.png") is None
    assert finder.find("../outside.png") is None


def test_images_of_scenes_are_found(tmp_path):
    scenes = write_split(tmp_path, "held-out-scenes", 2)
    sample = list(scene_samples(scenes))[1]
    finder = ImageFinder({"kind": "scenes", "path": str(scenes.path)}, read)
    assert np.array_equal(finder.find(sample.name), sample.image)
    assert finder.find("test/7") is None


def test_data_that_were_deleted_give_no_pictures(tmp_path):
    assert ImageFinder({"kind": "dataset", "path": str(tmp_path / "gone")}, read).find("a.png") is None
    assert ImageFinder({"kind": "scenes", "path": str(tmp_path / "gone")}, read).find("test/0") is None


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        pytest.param((0, 0, 0), "rightly nothing", id="nothing"),
        pytest.param((0, 9, 0), "false alarm", id="false alarm"),
        pytest.param((0, 0, 9), "missed", id="missed"),
        pytest.param((0, 9, 9), "elsewhere", id="elsewhere"),
        pytest.param((1, 9, 9), "poor mask", id="poor"),
        pytest.param((9, 9, 9), "found", id="found"),
    ],
)
def test_every_answer_has_an_outcome(counts, outcome):
    assert outcome_of(make_row(counts)) == outcome


class TestChoice:
    """Which cases are shown."""

    nowhere = ImageFinder({"kind": "dataset", "path": "nowhere"}, read)

    def test_worst_and_best_of_each_kind_are_there_and_no_case_twice(self) -> None:
        kinds = ("name", "size")
        rows = [make_row((hit, 100, 100), image=f"{hit}.png", kind=kind) for kind in kinds for hit in range(101)]
        cases = choose_cases(rows, self.nowhere)
        for kind in kinds:
            assert any(case.group == "worst" and case.row.clean.intersection == 0 and case.row.kind == kind for case in cases)
            assert any(case.group == "best" and case.row.clean.intersection == 100 and case.row.kind == kind for case in cases)
        assert len({(case.row.key, case.row.kind) for case in cases}) == len(cases) == MOST_WORST + MOST_BEST

    def test_the_surest_mistake_comes_first(self) -> None:
        rows = [make_row((0, 9, 9), image=f"{number}", presence=number / 10) for number in range(5)]
        assert [case.row.presence for case in choose_cases(rows, self.nowhere)] == [0.4, 0.3, 0.2, 0.1, 0.0]

    def test_one_image_does_not_fill_the_page(self) -> None:
        rows = [make_row((0, 9, 9), place=place) for place in range(20)]
        assert len(choose_cases(rows, self.nowhere)) == 3

    def test_many_kinds_do_not_make_many_pictures(self) -> None:
        rows = [make_row((hit, 9, 9), image=f"{hit}", kind=f"{kind}") for kind in range(200) for hit in (0, 9)]
        assert len(choose_cases(rows, self.nowhere)) <= MOST_WORST + MOST_BEST
