"""Charts are SVG that says in words what it shows, and that no text can break."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from models.report.charts import HEIGHT, WIDTH, Bar, Series, histogram, interval_bar, line_chart

EVIL = '"><script>'


def parse(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{markup}</div>")


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]


def test_a_line_goes_from_corner_to_corner():
    chart = parse(line_chart("rising", "x", "y", [Series("line", [(0, 0), (1, 1)])]))
    (line,) = [
        path
        for path in chart.iter("path")
        if path.get("class") == "line first" and path.get("d", "").startswith("M") and "L" in path.get("d", "")
    ]
    x0, y0, x1, y1 = numbers(line.get("d", ""))
    assert x0 < x1 <= WIDTH
    assert 0 <= y1 < y0 <= HEIGHT


def test_values_outside_stay_on_the_chart():
    chart = parse(line_chart("steep", "x", "y", [Series("line", [(-5, -5), (9, 9)])]))
    path = next(path.get("d", "") for path in chart.iter("path") if "L" in path.get("d", ""))
    assert all(0 <= number <= max(WIDTH, HEIGHT) for number in numbers(path))


def test_a_line_without_a_name_is_drawn_but_not_in_the_legend():
    named, unnamed = Series("mean", [(0, 0), (1, 1)]), Series("", [(0, 0.5), (1, 0.5)], "first faint")
    both, alone = (line_chart("seeds", "x", "y", series) for series in ([unnamed, named], [named]))
    assert both.count('class="line first faint"') == 1
    assert both.partition("legend")[2] == alone.partition("legend")[2]


def test_a_single_point_is_a_dot_in_chart_and_legend():
    chart = parse(line_chart("dot", "x", "y", [Series("decision", [(0.5, 0.5)], "second", dots=True)]))
    assert len([dot for dot in chart.iter("circle") if dot.get("class") == "dot second"]) == 2


def test_bars_are_as_high_as_their_share():
    chart = parse(histogram("counts", "x", "y", [Bar("a", 2, 1.0), Bar("b", 1, 0.5), Bar("c", 0, 0.0)], 2))
    heights = [float(bar.get("height", "")) for bar in chart.iter("rect")]
    assert heights[1] == pytest.approx(heights[0] / 2, abs=0.1)
    assert heights[2] == 0


def test_a_chart_names_itself_and_escapes_every_text():
    chart = parse(line_chart(EVIL, EVIL, EVIL, [Series(EVIL, [(0, 0), (1, 1)], dots=True)]))
    (svg,) = [one for one in chart.iter("svg") if one.get("role") == "img"]
    assert svg.get("aria-label") == EVIL
    assert not list(chart.iter("script"))


def test_an_interval_lies_around_its_value_and_never_leaves_its_bar():
    bar = parse(interval_bar(-0.05, 0.05, 9.0, 0.2))
    (circle,) = bar.iter("circle")
    left, _, right = numbers(next(path.get("d", "") for path in bar.iter("path") if path.get("class") == "range"))
    assert left < float(circle.get("cx", "")) < right <= 200
