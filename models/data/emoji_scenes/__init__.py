"""Procedural scenes of colour emoji with exact masks and referring expressions: the world that the tiny model learns from.

Read first: ``scene.py`` (how a picture comes about), ``meanings.py`` (what may be said about it), ``splits.py`` (what training never sees).
"""

from models.data.emoji_scenes.dataset import SceneSet, draw_indexed_scene, generate
from models.data.emoji_scenes.glyphs import (
    HELD_OUT_STYLE,
    PACKAGES,
    TRAIN_STYLES,
    Glyph,
    GlyphBank,
    GlyphSourceError,
    build_bank,
    fetch_glyph_packages,
)
from models.data.emoji_scenes.grammar import KINDS, NO_TARGET_KINDS, Expression, expressions, sample_expressions
from models.data.emoji_scenes.meta import SceneMeta, SceneObject
from models.data.emoji_scenes.scene import Scene, draw_scene
from models.data.emoji_scenes.splits import SPLITS, Split, is_held_out
from models.data.emoji_scenes.vocabulary import CATEGORIES, CLASSES, COLORS, ways_to_say
from models.data.emoji_scenes.wording import grammar_words

__all__ = [
    "CATEGORIES",
    "CLASSES",
    "COLORS",
    "HELD_OUT_STYLE",
    "KINDS",
    "NO_TARGET_KINDS",
    "PACKAGES",
    "SPLITS",
    "TRAIN_STYLES",
    "Expression",
    "Glyph",
    "GlyphBank",
    "GlyphSourceError",
    "Scene",
    "SceneMeta",
    "SceneObject",
    "SceneSet",
    "Split",
    "build_bank",
    "draw_indexed_scene",
    "draw_scene",
    "expressions",
    "fetch_glyph_packages",
    "generate",
    "grammar_words",
    "is_held_out",
    "sample_expressions",
    "ways_to_say",
]
