"""The scenes that are shipped for demo and documentation. Credits for their artwork: ``CREDITS.md``."""

from __future__ import annotations

from pathlib import Path

from models.data.scene_folder import SampleScene, load_scenes

__all__ = ["SampleScene", "load_sample_scenes"]


def load_sample_scenes() -> list[SampleScene]:
    """Read the shipped scenes; the training sets contain none of them."""
    return load_scenes(Path(__file__).parent)
