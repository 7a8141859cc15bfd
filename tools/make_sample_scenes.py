"""Draws the committed scenes anew: ``python -m tools.make_sample_scenes GLYPH_CACHE`` (needs npm, or the tarballs in that folder).

Samples are chosen by eye from numbered drawings. OpenMoji is never among them: its artwork is share-alike.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.data.emoji_scenes import Expression, GlyphBank, Scene, Split, build_bank, draw_scene, sample_expressions
from models.data.emoji_scenes.splits import SPLITS, scene_rng
from models.data.emoji_scenes.vocabulary import SYNONYMS
from models.data.scene_folder import save_scenes

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "models" / "data" / "sample_scenes"
FLOOR = ROOT / "tests" / "data" / "floor_scenes"

FLOOR_COUNT = 100
FLOOR_EXPRESSIONS = 6
FLOOR_SEED = 7
"""Other than the seeds of training and of reported splits."""

SHOWN_KINDS = (
    "name",
    "color",
    "color_only",
    "multi",
    "multi_color",
    "spatial",
    "name_color",
    "size",
    "category",
    "relation",
    "ordinal",
    "none_absent",
    "none_attribute",
)
"""Kinds in the order in which a demo shows them."""


@dataclass(frozen=True)
class Drawing:
    """One sample: its file, its number among drawings of that size, its size."""

    file: str
    number: int
    size_hw: tuple[int, int]


DRAWINGS = (
    Drawing("dogs.png", 21, (256, 256)),
    Drawing("houses.png", 17, (256, 256)),
    Drawing("owls.png", 25, (256, 256)),
    Drawing("ducks.png", 122, (256, 256)),
    Drawing("buses.png", 69, (512, 512)),
    Drawing("elephants.png", 137, (512, 512)),
    Drawing("guitars.png", 70, (512, 512)),
    Drawing("roses.png", 17, (512, 512)),
    Drawing("butterflies.png", 124, (480, 640)),
    Drawing("snails.png", 104, (480, 640)),
    Drawing("snowmen.png", 129, (480, 640)),
    Drawing("teddy-bears.png", 150, (480, 640)),
)
LARGE_SPLIT = Split("samples", styles=("fluent-3d", "fluent-flat"))
"""Only these styles come large enough for scenes of more than 256 pixels."""
SMALL_SPLIT = Split("samples")
KEYS = {(256, 256): "samples/lo", (512, 512): "samples/hi", (480, 640): "samples/vga"}


def main(glyph_cache: Path) -> None:
    """Write both folders."""
    bank = build_bank(glyph_cache)
    large_bank = build_bank(glyph_cache, LARGE_SPLIT.styles, size=256)
    samples = [_draw_sample(drawing, bank, large_bank) for drawing in DRAWINGS]
    _replace_scenes(SAMPLES, samples, optimize=True)
    _replace_scenes(FLOOR, _draw_floor(bank), quality=90)
    shutil.copyfile(SAMPLES / "CREDITS.md", FLOOR / "CREDITS.md")
    for folder in (SAMPLES, FLOOR):
        print(f"{folder.relative_to(ROOT)}: {sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6:.2f} MB")


def _draw_sample(drawing: Drawing, bank: GlyphBank, large_bank: GlyphBank) -> tuple[str, Scene, list[Expression]]:
    is_large = drawing.size_hw != (256, 256)
    split = LARGE_SPLIT if is_large else SMALL_SPLIT
    rng = scene_rng(KEYS[drawing.size_hw], 1, drawing.number)
    scene = draw_scene(rng, large_bank if is_large else bank, split, size_hw=drawing.size_hw)
    return drawing.file, scene, _one_of_each_kind(sample_expressions(scene.meta, np.random.default_rng(drawing.number), 60, "test"))


def _one_of_each_kind(expressions: Sequence[Expression]) -> list[Expression]:
    """The first of each kind, but rather one in the usual words."""
    unusual = {word for ways in SYNONYMS.values() for way in ways for word in way.split()} | {"thing", "object", "furthest", "that"}
    usual_last = sorted(expressions, key=lambda expression: -len(unusual.intersection(expression.text.split())))
    first = {expression.kind: expression for expression in usual_last}  # a later one replaces an earlier one
    return [first[kind] for kind in SHOWN_KINDS if kind in first]


def _draw_floor(bank: GlyphBank) -> list[tuple[str, Scene, list[Expression]]]:
    scenes: list[tuple[str, Scene, list[Expression]]] = []
    index = 0
    while len(scenes) < FLOOR_COUNT:
        scene = draw_scene(scene_rng("test", FLOOR_SEED, index), bank, SPLITS["test"])
        expressions = sample_expressions(scene.meta, np.random.default_rng([FLOOR_SEED, index]), FLOOR_EXPRESSIONS, "test")
        if len(expressions) == FLOOR_EXPRESSIONS:
            scenes.append((f"{len(scenes):03d}.jpg", scene, expressions))
        index += 1
    return scenes


def _replace_scenes(folder: Path, scenes: Sequence[tuple[str, Scene, list[Expression]]], **save_options: int) -> None:
    """Write scenes into a folder and drop pictures of earlier ones."""
    for old in (*folder.glob("*.png"), *folder.glob("*.jpg")):
        old.unlink()
    save_scenes(folder, scenes, **save_options)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.make_sample_scenes GLYPH_CACHE")
    main(Path(sys.argv[1]))
