"""What objects stand on: procedural backgrounds, some of them kept out of training."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""float32 ``[H, W]`` or ``[H, W, 3]``."""

Painter = Callable[[np.random.Generator, int, int], Field]
"""(rng, height, width) -> float32 ``[H, W, 3]`` in 0..255."""


def _colors(rng: np.random.Generator, count: int) -> Field:
    """``count`` colours that go together: mostly muted and around one lightness, now and then free; float32 ``[count, 3]``."""
    if rng.random() < 0.25:
        return rng.uniform(0, 255, (count, 3)).astype(np.float32)
    base = rng.uniform(30, 245)
    tint = rng.normal(0, 24, 3)
    return np.clip(base + tint + rng.normal(0, 26, (count, 3)), 0, 255).astype(np.float32)


def _octaves(rng: np.random.Generator, height: int, width: int, first: int, count: int) -> Field:
    """Smooth noise in 0..1, sums of ever finer random grids."""
    total = np.zeros((height, width), np.float32)
    for octave in range(count):
        cells = first * 2**octave
        grid = rng.random((cells + 1, cells + 1), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.55**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), dtype=np.float32)


def _blend(weight: Field, first: Field, second: Field) -> Field:
    return (first + weight[..., None] * (second - first)).astype(np.float32)


def _plane(rng: np.random.Generator, height: int, width: int) -> Field:
    """Position along a random direction in pixels, float32 ``[H, W]``."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle)), dtype=np.float32)


def _solid(rng: np.random.Generator, height: int, width: int) -> Field:
    return np.broadcast_to(_colors(rng, 1)[0], (height, width, 3)).copy()


def _gradient(rng: np.random.Generator, height: int, width: int) -> Field:
    plane = _plane(rng, height, width)
    weight = (plane - plane.min()) / max(float(np.ptp(plane)), 1e-6)
    first, second = _colors(rng, 2)
    return _blend(weight, first, second)


def _noise(rng: np.random.Generator, height: int, width: int) -> Field:
    weight = _octaves(rng, height, width, int(rng.integers(2, 7)), int(rng.integers(2, 6)))
    first, second = _colors(rng, 2)
    return _blend(weight, first, second)


def _landscape(rng: np.random.Generator, height: int, width: int) -> Field:
    """A sky over rough ground."""
    sky, sky_low, ground, ground_low = _colors(rng, 4)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    texture = _octaves(rng, height, width, 5, 5)
    horizon = rng.uniform(0.3, 0.7) + 0.12 * (_octaves(rng, 1, width, 3, 2) - 0.5)
    return np.where((rows < horizon)[..., None], _blend(rows, sky, sky_low), _blend(texture, ground, ground_low)).astype(np.float32)


def _stripes(rng: np.random.Generator, height: int, width: int) -> Field:
    period = rng.uniform(8, 60)
    weight = (_plane(rng, height, width) % period > period * rng.uniform(0.3, 0.7)).astype(np.float32)
    first, second = _colors(rng, 2)
    return _blend(weight, first, second)


def _wood(rng: np.random.Generator, height: int, width: int) -> Field:
    """Grain: noise that is long one way and short the other."""
    grain = rng.random((height // 2 + 1, 4), dtype=np.float32)
    weight = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    first, second = _colors(rng, 2)
    field = _blend(np.clip(weight, 0, 1), first, second)
    return field if rng.random() < 0.5 or height != width else field.transpose(1, 0, 2).copy()


def _checker(rng: np.random.Generator, height: int, width: int) -> Field:
    cell = int(rng.integers(8, 48))
    rows, columns = np.mgrid[:height, :width] // cell
    first, second = _colors(rng, 2)
    return _blend(((rows + columns) % 2).astype(np.float32), first, second)


def _polygons(rng: np.random.Generator, height: int, width: int) -> Field:
    colors = _colors(rng, int(rng.integers(4, 12)))
    field = np.broadcast_to(colors[0], (height, width, 3)).copy()
    for color in colors[1:]:
        corners = rng.uniform(-0.2, 1.2, (int(rng.integers(3, 6)), 2)) * (width, height)
        cv2.fillPoly(field, [corners.astype(np.int32)], tuple(float(c) for c in color))
    return field


def _blobs(rng: np.random.Generator, height: int, width: int) -> Field:
    """Lights out of focus."""
    colors = _colors(rng, int(rng.integers(5, 16)))
    field = np.broadcast_to(colors[0], (height, width, 3)).copy()
    for color in colors[1:]:
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(field, centre, int(rng.integers(8, 60)), tuple(float(c) for c in color), -1)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), float(rng.uniform(2, 14))), dtype=np.float32)


def _speckle(rng: np.random.Generator, height: int, width: int) -> Field:
    """Sand, asphalt, fabric."""
    grains = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), float(rng.uniform(0.5, 2.0)))
    weight = grains / max(float(grains.std()), 1e-6)
    return np.asarray(_gradient(rng, height, width) + weight[..., None] * rng.uniform(4, 22), dtype=np.float32)


def _voronoi(rng: np.random.Generator, height: int, width: int) -> Field:
    count = int(rng.integers(8, 40))
    seeds = rng.uniform(0, 1, (count, 2)).astype(np.float32) * (height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    distance = (rows[..., None] - seeds[:, 0]) ** 2 + (columns[..., None] - seeds[:, 1]) ** 2
    return np.asarray(_colors(rng, count)[distance.argmin(axis=2)])


def _rings(rng: np.random.Generator, height: int, width: int) -> Field:
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot(rows - rng.uniform(0, height), columns - rng.uniform(0, width)).astype(np.float32)
    period = rng.uniform(14, 60)
    first, second = _colors(rng, 2)
    return _blend((radius % period > period / 2).astype(np.float32), first, second)


def _waves(rng: np.random.Generator, height: int, width: int) -> Field:
    phase = _plane(rng, height, width) / rng.uniform(5, 14) + 5 * _octaves(rng, height, width, 3, 2)
    first, second = _colors(rng, 2)
    return _blend((0.5 + 0.5 * np.sin(phase)).astype(np.float32), first, second)


def _bricks(rng: np.random.Generator, height: int, width: int) -> Field:
    tall = int(rng.integers(12, 28))
    wide = tall * 2
    rows, columns = np.mgrid[:height, :width]
    courses = rows // tall
    shifted = columns + (courses % 2) * tall
    mortar = ((rows % tall) < 2) | ((shifted % wide) < 2)
    shades = _colors(rng, 17)
    return np.where(mortar[..., None], shades[16], shades[(courses * 7 + shifted // wide * 3) % 16]).astype(np.float32)


def _halftone(rng: np.random.Generator, height: int, width: int) -> Field:
    cell = int(rng.integers(10, 26))
    rows, columns = np.mgrid[:height, :width] % cell - cell / 2
    size = _octaves(rng, height, width, 3, 1) * cell * 0.55
    first, second = _colors(rng, 2)
    return _blend((np.hypot(rows, columns) < size).astype(np.float32), first, second)


TRAIN_BACKGROUNDS: dict[str, Painter] = {
    "solid": _solid,
    "gradient": _gradient,
    "noise": _noise,
    "landscape": _landscape,
    "stripes": _stripes,
    "wood": _wood,
    "checker": _checker,
    "polygons": _polygons,
    "blobs": _blobs,
    "speckle": _speckle,
}
"""Kinds of background that training scenes may have."""

HELD_OUT_BACKGROUNDS: dict[str, Painter] = {
    "voronoi": _voronoi,
    "rings": _rings,
    "waves": _waves,
    "bricks": _bricks,
    "halftone": _halftone,
}
"""Kinds of background that no training scene has."""


def paint_background(rng: np.random.Generator, height: int, width: int, *, held_out: bool = False) -> tuple[Field, str]:
    """A random background and the name of its kind; float32 ``[H, W, 3]`` in 0..255."""
    painters = HELD_OUT_BACKGROUNDS if held_out else TRAIN_BACKGROUNDS
    kind = list(painters)[int(rng.integers(len(painters)))]
    return np.clip(painters[kind](rng, height, width), 0, 255).astype(np.float32), kind
