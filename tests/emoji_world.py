"""A world of emoji scenes without any artwork: glyphs are plain shapes, so tests need no network and no vendor's pictures."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from models.data.emoji_scenes import CLASSES, HELD_OUT_STYLE, TRAIN_STYLES, GlyphBank, SceneSet, generate
from models.data.emoji_scenes.glyphs import make_glyphs
from models.evaluation_splits import EVALUATION_SEED, REPORTED_SPLITS

SIDE = 24


@cache
def make_bank() -> GlyphBank:
    """One disc per class, in a colour of its own and, where glyphs are recoloured, in others; all vendors draw alike."""
    glyphs = {name: make_glyphs(name, HELD_OUT_STYLE, _disc(name)) for name in CLASSES}
    return GlyphBank(
        {
            (style, name): tuple(replace(one, style=style) for one in glyphs[name])
            for style in (*TRAIN_STYLES, HELD_OUT_STYLE)
            for name in CLASSES
        }
    )


def write_split(data_dir: Path, name: str, count: int) -> SceneSet:
    """Put the scenes of a reported split where evaluation looks for them."""
    split = REPORTED_SPLITS[name]
    folder = data_dir / f"{split}-{count}"
    generate(folder, split, count, seed=EVALUATION_SEED, glyphs=make_bank(), workers=1, progress=False)
    return SceneSet(folder)


def _disc(name: str) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    picture[..., :3] = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, 3)
    picture[..., 3] = 255 * (np.hypot(x, y) < SIDE / 2)
    return picture
