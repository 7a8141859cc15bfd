"""One scene: who is in it, where everyone stands, and the picture with its exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.data.emoji_scenes.backgrounds import Field, paint_background
from models.data.emoji_scenes.glyphs import Glyph, GlyphBank
from models.data.emoji_scenes.meta import CANVAS, SceneMeta, SceneObject
from models.data.emoji_scenes.splits import Split, is_held_out

MIN_VISIBLE = 0.35
"""No object is hidden further than this share of itself."""

_GROUP_SHARE = 0.55
_GROUP_SHARE_OF_PAIRS = 0.85
"""In splits that ask for pairs; an attribute is worth saying where the class alone does not tell."""
_SHOWN_PAIR_SHARE = 0.7
_NON_SQUARE_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A rendered scene."""

    image: npt.NDArray[np.uint8]
    """uint8 ``[H, W, 3]`` RGB."""
    ids: npt.NDArray[np.uint8]
    """uint8 ``[H, W]``: 0 background, else the object that is seen there."""
    meta: SceneMeta


@dataclass(slots=True, eq=False)
class _Placed:
    glyph: Glyph
    full_area: int
    visible_area: int


def draw_scene(
    rng: np.random.Generator, bank: GlyphBank, split: Split, *, dense: bool = False, size_hw: tuple[int, int] | None = None
) -> Scene:
    """Draw a scene of 2-7 objects (12-19 when ``dense``), with exact masks of what is seen of each.

    Args:
        rng: decides everything.
        bank: glyphs; must hold the split's styles.
        split: styles, backgrounds and colour pairs that are allowed.
        dense: many small objects and no groups, to learn names from.
        size_hw: height and width in pixels; drawn when not given (a quarter of normal scenes is not square, the longer side is 256).
    """
    height, width = size_hw or _draw_size(rng, dense)
    canvas, background = paint_background(rng, height, width, held_out=split.held_out_backgrounds)
    ids = np.zeros((height, width), np.uint8)
    placed: list[_Placed] = []
    shadow = float(rng.uniform(0.15, 0.5)) if rng.random() < 0.25 else 0.0
    for group in _draw_groups(rng, bank, split, dense):
        for glyph, diameter in zip(group, _draw_diameters(rng, len(group), min(height, width), dense), strict=True):
            _place(rng, canvas, ids, placed, glyph, diameter, shadow)
    image = _finish(rng, canvas)
    objects = tuple(_describe(ids, number, item) for number, item in enumerate(placed, start=1))
    return Scene(image, ids, SceneMeta((height, width), background, objects))


def pad_to_canvas(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """``[H, W, ...]`` at the top left of a 256-pixel square of zeros."""
    padded = np.zeros((CANVAS, CANVAS, *array.shape[2:]), np.uint8)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded


def _draw_size(rng: np.random.Generator, dense: bool) -> tuple[int, int]:
    if dense or rng.random() >= _NON_SQUARE_SHARE:
        return CANVAS, CANVAS
    short = int(rng.integers(144, 241))
    return (CANVAS, short) if rng.random() < 0.5 else (short, CANVAS)


def _draw_groups(rng: np.random.Generator, bank: GlyphBank, split: Split, dense: bool) -> list[list[Glyph]]:
    """Glyphs by class: groups of one class give words like "left" and "big" something to tell apart."""
    total = int(rng.integers(12, 20)) if dense else int(rng.integers(2, 8))
    sizes = [1] * total
    if not dense and rng.random() < (_GROUP_SHARE_OF_PAIRS if split.asks_for else _GROUP_SHARE):
        sizes = [int(rng.choice([2, 3, 4], p=[0.45, 0.43, 0.12]))]
        sizes += [2] if rng.random() < 0.2 else []
        sizes += [1] * (total - sum(sizes))
    one_style = str(rng.choice(split.styles)) if rng.random() < 0.3 else None
    names = [bank.classes[index] for index in rng.choice(len(bank.classes), size=len(sizes), replace=False)]
    colorful = [name for name in names if len(bank.of(split.styles[0], name)) > 1]
    if sizes[0] > 1 and colorful and rng.random() < 0.75:
        # Colours can tell the members of a group apart only where the class has several.
        other = names.index(colorful[0])
        names[0], names[other] = names[other], names[0]
    groups = [_draw_group(rng, bank, split, name, size, one_style) for name, size in zip(names, sizes, strict=True)]
    if split.asks_for and rng.random() < _SHOWN_PAIR_SHARE:
        groups[0] = _draw_group_with_pair(rng, bank, split, sizes[0]) or groups[0]
    return groups


def _draw_group(rng: np.random.Generator, bank: GlyphBank, split: Split, name: str, size: int, one_style: str | None) -> list[Glyph]:
    def draw(other_than: set[str | None], recolored_share: float = 0.5) -> Glyph:
        own, *variants = bank.of(one_style or str(rng.choice(split.styles)), name)
        allowed = [g for g in variants if split.held_out_pairs or not is_held_out(("color", str(g.color), name))]
        allowed = [g for g in allowed if g.color not in other_than]
        return allowed[int(rng.integers(len(allowed)))] if allowed and rng.random() < recolored_share else own

    likeness = rng.random()
    if likeness < 0.25:
        return [draw(set())] * size
    group: list[Glyph] = []
    for _ in range(size):
        group.append(draw({g.color for g in group}, 0.85) if likeness > 0.5 else draw(set()))
    return group


def _draw_group_with_pair(rng: np.random.Generator, bank: GlyphBank, split: Split, size: int) -> list[Glyph] | None:
    """A group whose first member was given a colour that makes a pair with its class that the split asks for."""
    style = str(rng.choice(split.styles))
    candidates = [glyph for name in bank.classes for glyph in bank.of(style, name)[1:] if split.wants(("color", str(glyph.color), name))]
    if not candidates:
        return None
    first = candidates[int(rng.integers(len(candidates)))]
    return [first, *_draw_group(rng, bank, split, first.name, size - 1, None)]


def _draw_diameters(rng: np.random.Generator, count: int, side: int, dense: bool) -> npt.NDArray[np.float64]:
    """Longer side of each glyph in pixels, log-uniform; a third of the groups is of one size."""
    low, high = (26, 62) if dense else (30, 112)
    drawn = np.exp(rng.uniform(np.log(low), np.log(high), count))
    if count > 1 and rng.random() < 0.33:
        drawn = drawn[0] * rng.uniform(0.95, 1.05, count)
    return np.asarray(np.minimum(drawn * side / CANVAS if side > CANVAS else drawn, 0.55 * side))


def _place(
    rng: np.random.Generator,
    canvas: Field,
    ids: npt.NDArray[np.uint8],
    placed: list[_Placed],
    glyph: Glyph,
    diameter: float,
    shadow: float,
) -> None:
    """Put a glyph on top where it hides nobody too far; leave it out when no such place is found."""
    patch = _transform(rng, glyph, diameter)
    solid = patch[..., 3] >= 128
    full_area = int(np.count_nonzero(solid))
    careful = rng.random() < 0.5
    for _ in range(8):
        height, width = ids.shape
        x = int(rng.uniform(0.4 * diameter, width - 0.4 * diameter) - patch.shape[1] / 2)
        y = int(rng.uniform(0.4 * diameter, height - 0.4 * diameter) - patch.shape[0] / 2)
        rows = slice(max(y, 0), min(y + patch.shape[0], height))
        columns = slice(max(x, 0), min(x + patch.shape[1], width))
        inside = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
        own_area = int(np.count_nonzero(solid[inside]))
        hidden = np.bincount(ids[rows, columns][solid[inside]], minlength=len(placed) + 1)[1:]
        limit = 0.9 if careful else MIN_VISIBLE
        if own_area < 0.7 * full_area or any(
            hides and item.visible_area - hides < limit * item.full_area for item, hides in zip(placed, hidden, strict=True)
        ):
            continue
        for item, hides in zip(placed, hidden, strict=True):
            item.visible_area -= int(hides)
        placed.append(_Placed(glyph, full_area, own_area))
        if shadow:
            _cast_shadow(canvas, patch[..., 3], x, y, shadow)
        picture = patch[inside].astype(np.float32)
        region = canvas[rows, columns]
        region *= 1 - picture[..., 3:] / 255
        region += picture[..., :3]
        ids[rows, columns][solid[inside]] = len(placed)
        return


def _transform(rng: np.random.Generator, glyph: Glyph, diameter: float) -> npt.NDArray[np.uint8]:
    """The glyph at its size, turned and perhaps mirrored; premultiplied uint8 ``[h, w, 4]``."""
    level = next((each for each in reversed(glyph.levels) if max(each.shape) >= diameter), glyph.levels[0])
    scale = diameter / max(level.shape[:2])
    turn = np.deg2rad(rng.uniform(-60, 60) if rng.random() < 0.2 else rng.uniform(-25, 25))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    linear = scale * np.array([[np.cos(turn) * mirror, -np.sin(turn)], [np.sin(turn) * mirror, np.cos(turn)]])
    height, width = level.shape[:2]
    out = np.ceil(np.abs(linear) @ (width, height)).astype(int) + 2
    offset = out / 2 - linear @ (width / 2, height / 2) + rng.uniform(-0.5, 0.5, 2)
    # warpAffine addresses pixel centres, we address pixel corners: half a pixel before and after.
    matrix = np.column_stack([linear, offset + linear @ (0.5, 0.5) - 0.5])
    return np.asarray(cv2.warpAffine(level, matrix, (int(out[0]), int(out[1])), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def _cast_shadow(canvas: Field, alpha: npt.NDArray[np.uint8], x: int, y: int, strength: float) -> None:
    """Darken what lies behind an object at its lower right, softly."""
    reach = max(3, round(0.06 * max(alpha.shape)))
    soft = cv2.copyMakeBorder(alpha, 2 * reach, 2 * reach, 2 * reach, 2 * reach, cv2.BORDER_CONSTANT)
    soft = cv2.GaussianBlur(soft, (0, 0), reach / 1.5)
    left, top = x - reach, y - reach
    rows = slice(max(top, 0), min(top + soft.shape[0], canvas.shape[0]))
    columns = slice(max(left, 0), min(left + soft.shape[1], canvas.shape[1]))
    inside = soft[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    canvas[rows, columns] *= 1 - strength * inside[..., None].astype(np.float32) / 255


def _finish(rng: np.random.Generator, canvas: Field) -> npt.NDArray[np.uint8]:
    """Now and then what cameras and files do: uneven exposure, blur, grain, JPEG."""
    if rng.random() < 0.2:
        canvas = (canvas - 127.5) * rng.uniform(0.75, 1.15) + 127.5 + rng.uniform(-22, 22)
    if rng.random() < 0.1:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.0))), dtype=np.float32)
    if rng.random() < 0.12:
        canvas = canvas + rng.normal(0, rng.uniform(2, 9), canvas.shape).astype(np.float32)
    image = np.clip(np.round(canvas), 0, 255).astype(np.uint8)
    if rng.random() < 0.08:
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image


def _describe(ids: npt.NDArray[np.uint8], number: int, item: _Placed) -> SceneObject:
    rows, columns = np.nonzero(ids == number)
    glyph = item.glyph
    return SceneObject(
        id=number,
        name=glyph.name,
        color=glyph.color,
        colors=glyph.colors,
        style=glyph.style,
        box=(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1),
        area=len(rows),
        center=(round(float(columns.mean()) + 0.5, 2), round(float(rows.mean()) + 0.5, 2)),
        full=round(float(np.sqrt(item.full_area)), 2),
        recolored=glyph.recolored,
    )
