"""Segments to regions and back, for every shape; and every region from which no mask can be made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backend import brush_rle
from backend.label_plan import OutputControl, OutputKind
from backend.regions import RegionError, region_to_mask, segment_to_regions
from backend.shapes import ellipse_to_mask
from models import Segment

TAGS: dict[OutputKind, str] = {
    "brush": "BrushLabels",
    "bitmask": "BitmaskLabels",
    "polygon": "PolygonLabels",
    "rectangle": "RectangleLabels",
}


def control(kind: OutputKind, tag: str | None = None) -> OutputControl:
    return OutputControl("mask", kind, "image", (), tag or TAGS[kind])


def regions_of(mask: npt.NDArray[np.bool_], kind: OutputKind, **arguments: Any) -> list[dict[str, Any]]:
    return segment_to_regions(Segment("the dog", mask, 0.87654321), control(kind), "Dog", **{"prompt": None, **arguments})


def masks() -> list[Any]:
    one_pixel = np.zeros((5, 7), dtype=np.bool_)
    one_pixel[4, 6] = True
    ring = np.ones((31, 17), dtype=np.bool_)
    ring[3:20, 4:11] = False
    islands = np.zeros((40, 61), dtype=np.bool_)
    islands[2:9, 3:30] = islands[20:39, 40:61] = islands[15, 1] = True
    return [
        pytest.param(one_pixel, id="one pixel"),
        pytest.param(np.ones((3, 11), dtype=np.bool_), id="full"),
        pytest.param(np.ones((1, 1), dtype=np.bool_), id="image of one pixel"),
        pytest.param(ring, id="a hole"),
        pytest.param(islands, id="islands"),
        pytest.param(np.random.default_rng(0).random((33, 47)) < 0.5, id="noise"),
    ]


@pytest.mark.parametrize("kind", ["brush", "bitmask"])
@pytest.mark.parametrize("mask", masks())
def test_brush_and_bitmask_give_one_region_that_holds_the_very_mask(mask: npt.NDArray[np.bool_], kind: OutputKind) -> None:
    (region,) = regions_of(mask, kind)
    assert np.array_equal(region_to_mask(json.loads(json.dumps(region)), mask.shape), mask)


@pytest.mark.parametrize("mask", masks()[:3])
def test_a_polygon_around_straight_edges_gives_back_the_very_mask(mask: npt.NDArray[np.bool_]) -> None:
    (region,) = regions_of(mask, "polygon")
    assert region["value"]["closed"] is True
    assert np.array_equal(region_to_mask(region, mask.shape), mask)


def test_polygons_are_one_region_per_part_without_holes_and_specks() -> None:
    mask = np.zeros((101, 203), dtype=np.bool_)
    mask[10:40, 10:80] = mask[50:90, 100:190] = True
    expected = mask.copy()
    mask[20:30, 30:50] = False  # a hole
    mask[99, 3] = True  # a speck
    found = regions_of(mask, "polygon", prompt="both")
    assert len(found) == 2
    assert len({region["id"] for region in found}) == 2
    assert all(region["meta"] == {"text": ["both"]} for region in found)
    assert np.array_equal(region_to_mask(found[0], mask.shape) | region_to_mask(found[1], mask.shape), expected)


def test_a_round_outline_is_simplified_but_close() -> None:
    disc = ellipse_to_mask((150.0, 120.0), (80.0, 80.0), 0.0, (240, 320))
    (region,) = regions_of(disc, "polygon")
    assert len(region["value"]["points"]) < 70
    back = region_to_mask(region, disc.shape)
    assert np.count_nonzero(back & disc) / np.count_nonzero(back | disc) > 0.98


@pytest.mark.parametrize("mask", masks())
def test_a_rectangle_is_the_box_of_the_mask(mask: npt.NDArray[np.bool_]) -> None:
    (region,) = regions_of(mask, "rectangle")
    rows, columns = np.nonzero(mask)
    box = np.zeros_like(mask)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert np.array_equal(region_to_mask(region, mask.shape), box)


@pytest.mark.parametrize("kind", list(TAGS))
def test_a_region_says_what_it_is_and_where_it_belongs(kind: OutputKind) -> None:
    (region,) = regions_of(np.ones((3, 5), dtype=np.bool_), kind, prompt="the dog on the left", item_index=2)
    region_type = TAGS[kind].lower()
    assert re.fullmatch(r"wm-[0-9a-f-]{36}", region.pop("id"))
    assert region.pop("value")[region_type] == ["Dog"]
    assert region == {
        "from_name": "mask",
        "to_name": "image",
        "type": region_type,
        "original_width": 5,
        "original_height": 3,
        "image_rotation": 0,
        "score": 0.8765,
        "meta": {"text": ["the dog on the left"]},
        "item_index": 2,
    }


def test_without_prompt_and_place_a_region_has_neither() -> None:
    (region,) = regions_of(np.ones((3, 5), dtype=np.bool_), "brush")
    assert not {"meta", "item_index"} & region.keys()


@pytest.mark.parametrize(("kind", "tag"), [("brush", "Brush"), ("polygon", "Polygon"), ("rectangle", "Rectangle")])
def test_controls_without_labels_give_regions_without_labels(kind: OutputKind, tag: str) -> None:
    segment = Segment("", np.ones((3, 5), dtype=np.bool_), 1.0)
    (region,) = segment_to_regions(segment, control(kind, tag), "", prompt=None)
    assert region["type"] == tag.lower()
    assert not [key for key in region["value"] if "label" in key]
    assert region_to_mask(region, (3, 5)).all()


def test_two_calls_never_share_an_id() -> None:
    mask = np.ones((3, 5), dtype=np.bool_)
    assert regions_of(mask, "brush")[0]["id"] != regions_of(mask, "brush")[0]["id"]


def test_a_soft_stroke_counts_from_half_covered_on() -> None:
    alpha = np.array([[0, 1, 127, 128, 255]], dtype=np.uint8)
    region = {"type": "brushlabels", "value": {"rle": brush_rle.encode(alpha)}}
    assert region_to_mask(region, (1, 5)).tolist() == [[False, False, False, True, True]]


def test_a_turned_rectangle_is_turned_in_pixels_not_in_percent() -> None:
    value = {"x": 50, "y": 0, "width": 20, "height": 10, "rotation": 90}  # 20 x 5 pixels, which then reach 20 down and 5 left
    expected = np.zeros((50, 100), dtype=np.bool_)
    expected[0:20, 45:50] = True
    assert np.array_equal(region_to_mask({"type": "rectanglelabels", "value": value}, (50, 100)), expected)


def test_an_ellipse_is_read() -> None:
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 40, "rotation": 0}
    mask = region_to_mask({"type": "ellipselabels", "value": value}, (50, 100))
    assert np.array_equal(mask, ellipse_to_mask((50.0, 25.0), (20.0, 20.0), 0.0, (50, 100)))


@pytest.mark.parametrize("index", range(4))
def test_points_off_the_image_are_cut(index: int) -> None:
    points = [[-50, -50], [150, -50], [150, 150], [-50, 150]]
    points[index] = [50, 50]
    mask = region_to_mask({"type": "polygonlabels", "value": {"points": points}}, (20, 20))
    assert 0.4 < mask.mean() < 0.8


PROBLEMS = [
    pytest.param("brush", None, "no value", id="no value"),
    pytest.param("brush", {}, "a NoneType", id="no rle"),
    pytest.param("brush", {"rle": [0, 0, 0, 4]}, "too short", id="rle cut short"),
    pytest.param("brush", {"rle": brush_rle.encode(np.ones((9, 9), dtype=np.bool_))}, "needs 32", id="rle of another image"),
    pytest.param("bitmask", {"imageDataURL": "data:,"}, "beginning with", id="no png"),
    pytest.param("polygon", {"points": "0,0"}, "found str", id="points as text"),
    pytest.param("polygon", {"points": [[0, 0], [1, 1]]}, "found 2", id="two points"),
    pytest.param("polygon", {"points": [[0, 0]] * 100_001}, "found 100001", id="too many points"),
    pytest.param("polygon", {"points": [[0, 0], [1, 1], [2]]}, "a pair", id="half a point"),
    pytest.param("polygon", {"points": [[0, 0], [1, 1], [float("nan"), 0]]}, "x to be a number", id="nan"),
    pytest.param("polygon", {"points": [[0, 0], [1, 1], [0, "2"]]}, "found str", id="number as text"),
    pytest.param("polygon", {"points": [[0, 0], [1, 1], [0, 10**400]]}, "out of range", id="huge number"),
    pytest.param("rectangle", {"x": 0, "y": 0, "width": 5}, "height to be a number", id="no height"),
    pytest.param("rectangle", {"x": 0, "y": 0, "width": -5, "height": 5}, "at least 0", id="negative width"),
    pytest.param("rectangle", {"x": 0, "y": 0, "width": 5, "height": 5, "rotation": True}, "found bool", id="rotation true"),
    pytest.param("ellipse", {"x": 0, "y": 0, "radiusX": 0, "radiusY": 5}, "above 0", id="flat ellipse"),
    pytest.param("keypoint", {"x": 0, "y": 0, "width": 1}, "has no mask", id="a point"),
    pytest.param("", {}, "has no mask", id="no type"),
]


@pytest.mark.parametrize(("kind", "value", "message"), PROBLEMS)
def test_a_region_that_cannot_be_read_is_named_with_the_reason(kind: str, value: Any, message: str) -> None:
    with pytest.raises(RegionError, match=message) as caught:
        region_to_mask({"id": "r7", "type": f"{kind}labels", "value": value}, (2, 4))
    assert "'r7'" in str(caught.value)


def test_turning_the_image_in_the_editor_turns_the_view_alone() -> None:
    """Drawn in Label Studio's editor after a quarter turn: a box around the red spot of an image of 320 x 240, and a line right of it."""
    recorded = Path(__file__).parents[1] / "data" / "label_studio_export" / "turned.json"
    box, line = json.loads(recorded.read_text(encoding="utf-8"))
    assert box["image_rotation"] == line["image_rotation"] == 90
    spot = np.zeros((240, 320), dtype=np.bool_)
    spot[24:120, 32:64] = True
    covered, drawn = region_to_mask(box, (240, 320)), region_to_mask(line, (240, 320))
    assert np.count_nonzero(covered & spot) / np.count_nonzero(covered | spot) > 0.95
    assert drawn[:, 64:72].sum() == drawn.sum() > 0
    assert drawn[24:120].sum() == drawn.sum()


@pytest.mark.parametrize("region", [None, [], "brush", 7])
def test_what_is_no_object_is_no_region(region: Any) -> None:
    with pytest.raises(RegionError, match="must be an object"):
        region_to_mask(region, (3, 5))
