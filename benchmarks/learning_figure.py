"""The learning curve of ``benchmarks/active_learning.py`` as a picture for the guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import Series, line_chart
from tools.editor import open_browser

_STYLES = ("second", "first", "third")
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #fff; font: 15px system-ui, sans-serif; }
figure { margin: 0; width: 720px; padding: 16px 20px 8px; }
.chart { display: block; width: 100%; } .chart text { fill: #57606a; font-size: 10px; } .grid { stroke: #d5dae0; }
.line { fill: none; stroke-width: 1.8; stroke: #0b5cad; } .line.second { stroke: #b5480a; stroke-dasharray: 6 3; }
.line.third { stroke: #0a6b4c; stroke-dasharray: 2 2; } .line.guide { stroke: #57606a; stroke-width: 1; stroke-dasharray: 2 3; }
.dot { fill: #0b5cad; } .dot.second { fill: #b5480a; } .dot.third { fill: #0a6b4c; }
.line.faint { stroke-width: .7; stroke-dasharray: none; opacity: .45; }
.legend { display: flex; gap: 24px; color: #57606a; } .key { display: flex; align-items: center; gap: 6px; } .key svg { width: 24px; }
</style><figure>CHART</figure>"""


def draw_learning_curve(path: Path, curves: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], known: float) -> None:
    """Draw the mean over the seeds of each strategy, single seeds thinly behind it, and the known domain as a line to reach.

    Args:
        path: of the PNG.
        curves: strategy -> seed -> rounds with ``corrected`` and ``miou``.
        known: score in the domain of the weights.
    """
    last = max(one["corrected"] for runs in curves.values() for curve in runs for one in curve)
    seeds: list[Series] = []
    means: list[Series] = []
    for style, (strategy, runs) in zip(_STYLES, curves.items(), strict=False):
        places = [one["corrected"] / last for one in runs[0]]
        values = [[float(one["miou"]) for one in curve] for curve in runs]
        if len(values) > 1:
            seeds += [Series("", list(zip(places, one, strict=True)), f"{style} faint") for one in values]
        name = "chosen at random" if strategy == "random" else f"chosen by {strategy}"
        mean = map(float, np.mean(values, axis=0))
        means.append(Series(name, list(zip(places, mean, strict=True)), style, dots=True))
    series = [*seeds, Series("artwork that the weights know", [(0, known), (1, known)], "guide"), *means]
    chart = line_chart("Mean IoU on held-out scenes by number of corrected images", "corrected images", "mean IoU", series, to_x=last)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        page = browser.new_page(device_scale_factor=2)
        page.set_content(_PAGE.replace("CHART", chart))
        page.locator("figure").screenshot(path=path)
