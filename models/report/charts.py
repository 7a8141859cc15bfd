"""Line and bar charts as inline SVG. Colours come from the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 320, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 42
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Args:
        name: for the legend, which leaves out those without one.
        points: x and y, both 0..1.
        style: class of the style sheet: ``first``, ``second`` or ``guide``.
        dots: mark each point.
    """

    name: str
    points: Sequence[Point]
    style: str = "first"
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One column of a histogram; ``share`` is its height, 0..1 of the highest."""

    label: str
    count: int
    share: float


def line_chart(summary: str, x_label: str, y_label: str, series: Sequence[Series], *, to_x: float = 1.0) -> Markup:
    """Lines over the unit square.

    Args:
        summary: what the chart shows, for those who do not see it.
        x_label: below the x axis.
        y_label: beside the y axis.
        series: later ones are drawn over earlier ones; those without points are left out.
        to_x: what stands at the right end of the x axis.
    """
    drawn = [one for one in series if one.points]
    x_ticks = [f"{tick * to_x:g}" for tick in _TICKS]
    body = [_axes(x_label, y_label, x_ticks, [f"{tick:g}" for tick in _TICKS]), *map(_line, drawn)]
    legend = Markup("").join(
        (_LEGEND_LINE if len(one.points) > 1 else _LEGEND_DOT).format(style=one.style, name=one.name) for one in drawn if one.name
    )
    return _figure(summary, Markup("").join(body), Markup('<p class="legend">{}</p>').format(legend))


def histogram(summary: str, x_label: str, y_label: str, bars: Sequence[Bar], highest: int, lowest_x: float = 0.0) -> Markup:
    """Columns side by side from ``lowest_x`` to 1; the y axis runs to ``highest``."""
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(bars))
    columns = [_column(bar, _LEFT + place * step, step) for place, bar in enumerate(bars)]
    x_ticks = [f"{lowest_x + tick * (1 - lowest_x):g}" for tick in _TICKS]
    axes = _axes(x_label, y_label, x_ticks, [f"{round(tick * highest)}" for tick in _TICKS])
    return _figure(summary, Markup("").join([axes, *columns]), Markup(""))


_LEGEND_LINE = Markup(
    '<span class="key"><svg viewBox="0 0 20 8" aria-hidden="true"><path class="line {style}" d="M0 4H20"/></svg>{name}</span>'
)
_LEGEND_DOT = Markup(
    '<span class="key"><svg viewBox="0 0 20 8" aria-hidden="true"><circle class="dot {style}" cx="10" cy="4" r="4"/></svg>{name}</span>'
)


def _figure(summary: str, body: Markup, legend: Markup) -> Markup:
    template = Markup('<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{summary}">{body}</svg>{legend}')
    return template.format(width=WIDTH, height=HEIGHT, summary=summary, body=body, legend=legend)


def _axes(x_label: str, y_label: str, x_ticks: Sequence[str], y_ticks: Sequence[str]) -> Markup:
    parts = [Markup("<g class='axes'>")]
    for tick, below, beside in zip(_TICKS, x_ticks, y_ticks, strict=True):
        x, y = _at((tick, tick))
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(_LEFT, y, WIDTH - _RIGHT))
        parts.append(Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(_LEFT - 6, y + 4, beside))
        parts.append(Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, HEIGHT - _BOTTOM + 16, below))
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    parts.append(Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, x_label))
    turned = Markup('<text transform="translate(11 {}) rotate(-90)" text-anchor="middle">{}</text>')
    parts += [turned.format(middle, y_label), Markup("</g>")]
    return Markup("").join(parts)


def _line(series: Series) -> Markup:
    places = [_at(point) for point in series.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    line = Markup('<path class="line {}" d="{}"/>').format(series.style, path)
    if not series.dots:
        return line
    dots = [
        Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}: {:.2f}, {:.3f}</title></circle>').format(
            series.style, x, y, series.name, *point
        )
        for (x, y), point in zip(places, series.points, strict=True)
    ]
    return Markup("").join([line, *dots])


def _column(bar: Bar, left: float, width: float) -> Markup:
    _, top = _at((0, bar.share))
    template = Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {}</title></rect>')
    return template.format(left + 1, top, width - 2, HEIGHT - _BOTTOM - top, bar.label, bar.count)


def interval_bar(low: float, value: float, high: float, widest: float) -> Markup:
    """A difference with its interval on a line from ``-widest`` to ``widest``, zero in the middle."""
    x0, x, x1 = (100 + 95 * max(-1.0, min(1.0, one / widest)) for one in (low, value, high))
    template = Markup(
        '<svg class="interval" viewBox="0 0 200 16" aria-hidden="true"><path class="zero" d="M100 0V16"/>'
        '<path class="range" d="M{:.1f} 8H{:.1f}"/><circle cx="{:.1f}" cy="8" r="4"/></svg>'
    )
    return template.format(x0, x1, x)


def _at(point: Point) -> Point:
    x, y = (min(1.0, max(0.0, value)) for value in point)
    return _LEFT + x * (WIDTH - _LEFT - _RIGHT), _TOP + (1 - y) * (HEIGHT - _TOP - _BOTTOM)
