"""Sets of scenes on disk: written once by a few processes, read through memory maps."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.data.emoji_scenes.glyphs import PACKAGES, GlyphBank
from models.data.emoji_scenes.meta import CANVAS, SceneMeta
from models.data.emoji_scenes.scene import draw_scene, pad_to_canvas
from models.data.emoji_scenes.splits import get_split, scene_rng
from models.data.emoji_scenes.vocabulary import CLASSES

GENERATOR_VERSION = 2
"""Raised whenever the same seed would give other scenes."""

_CHUNK = 100
_worker_bank: GlyphBank | None = None


def generate(
    out_dir: Path, split: str, count: int, *, seed: int, glyphs: GlyphBank, dense: bool = False, workers: int = 2, progress: bool = True
) -> Path:
    """Write a set of scenes; a set that is already there whole, with the same manifest, is left as it is.

    The folder appears under its name only when it is complete, so a killed run leaves no set that looks whole.

    Args:
        out_dir: folder of the set: ``images.npy`` uint8 ``[S, 256, 256, 3]``, ``ids.npy`` uint8 ``[S, 256, 256]``, ``scenes.jsonl``,
            ``manifest.json``.
        split: a name in ``SPLITS``.
        count: number of scenes.
        seed: scene ``i`` depends on ``(split, seed, i, dense)`` only, not on ``count`` or ``workers``.
        glyphs: a bank with the split's styles; scenes show its classes and no others.
        dense: scenes of 12-19 small objects.
        workers: processes.
        progress: report to standard error.

    Returns:
        ``out_dir``.

    Raises:
        ValueError: the split is unknown, or ``count`` is not positive.
        FileExistsError: another set lies in ``out_dir``.
    """
    if count < 1:
        raise ValueError(f"a set needs at least one scene, found count={count}")
    manifest = _manifest(split, count, seed, dense, glyphs)
    if out_dir.exists():
        if _read_manifest(out_dir) == manifest:
            return out_dir
        raise FileExistsError(f"{out_dir} holds something else than the set {manifest}; delete it or choose another folder")
    partial = out_dir.with_name(out_dir.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, shape in (("images", (count, CANVAS, CANVAS, 3)), ("ids", (count, CANVAS, CANVAS))):
        np.lib.format.open_memmap(partial / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape).flush()  # type: ignore[no-untyped-call]
    jobs = [(str(partial), split, seed, dense, start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    with (partial / "scenes.jsonl").open("w", encoding="utf-8") as lines:
        _run(jobs, lines, glyphs, workers, count if progress else None, out_dir.name)
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, out_dir)
    return out_dir


class SceneSet:
    """Read access to a set of scenes. Pixels stay on disk until they are asked for.

    Args:
        path: folder that :func:`generate` wrote.

    Raises:
        FileNotFoundError: there is no complete set.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        manifest = _read_manifest(self.path)
        if manifest is None:
            raise FileNotFoundError(f"no complete set of scenes at {self.path} (manifest.json is missing); generate it first")
        self.manifest: dict[str, Any] = manifest
        self._images = np.load(self.path / "images.npy", mmap_mode="r")
        self._ids = np.load(self.path / "ids.npy", mmap_mode="r")
        self._lines = (self.path / "scenes.jsonl").read_bytes().splitlines()

    def __len__(self) -> int:
        return len(self._lines)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """Scene ``index``, uint8 ``[256, 256, 3]`` RGB; black outside :attr:`SceneMeta.size_hw`."""
        return np.asarray(self._images[index])

    def ids(self, index: int) -> npt.NDArray[np.uint8]:
        """Who is seen where, uint8 ``[256, 256]``: 0 background, else the id of an object."""
        return np.asarray(self._ids[index])

    def meta(self, index: int) -> SceneMeta:
        """What is in scene ``index``."""
        return SceneMeta.from_json(self._lines[index])


def draw_indexed_scene(glyphs: GlyphBank, split: str, seed: int, index: int, *, dense: bool = False) -> tuple[Any, Any, SceneMeta]:
    """Scene ``index`` of a set as :func:`generate` stores it: image ``[256, 256, 3]``, ids ``[256, 256]``, meta."""
    scene = draw_scene(scene_rng(split + ("/dense" if dense else ""), seed, index), glyphs, get_split(split), dense=dense)
    return pad_to_canvas(scene.image), pad_to_canvas(scene.ids), scene.meta


def _run(jobs: list[Any], lines: Any, glyphs: GlyphBank, workers: int, count: int | None, name: str) -> None:
    started = time.monotonic()
    done = 0
    for chunk in _chunks(jobs, glyphs, workers):
        lines.writelines(line + "\n" for line in chunk)
        done += len(chunk)
        if count is not None:
            rate = done / (time.monotonic() - started)
            sys.stderr.write(f"\r{name}: {done}/{count} scenes, {rate:.0f}/s" + ("\n" if done == count else ""))
            sys.stderr.flush()


def _chunks(jobs: list[Any], glyphs: GlyphBank, workers: int) -> Iterator[list[str]]:
    if workers <= 1:
        _start_worker(glyphs)
        yield from map(_generate_chunk, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(jobs)), _start_worker, (glyphs,)) as pool:
        yield from pool.imap(_generate_chunk, jobs)


def _start_worker(glyphs: GlyphBank) -> None:
    global _worker_bank
    _worker_bank = glyphs
    cv2.setNumThreads(1)


def _generate_chunk(job: tuple[str, str, int, bool, int, int]) -> list[str]:
    folder, split, seed, dense, start, stop = job
    assert _worker_bank is not None
    images = np.load(Path(folder) / "images.npy", mmap_mode="r+")
    ids = np.load(Path(folder) / "ids.npy", mmap_mode="r+")
    lines = []
    for index in range(start, stop):
        images[index], ids[index], meta = draw_indexed_scene(_worker_bank, split, seed, index, dense=dense)
        lines.append(meta.to_json())
    return lines


def _manifest(split: str, count: int, seed: int, dense: bool, glyphs: GlyphBank) -> dict[str, Any]:
    packages = {style: f"{PACKAGES[style].name}@{PACKAGES[style].version}" for style in get_split(split).styles}
    return {
        "split": split,
        "count": count,
        "seed": seed,
        "dense": dense,
        "generator_version": GENERATOR_VERSION,
        "glyph_packages": packages,
        # As sets of before had no such entry, those of all classes have none.
        **({} if set(glyphs.classes) == set(CLASSES) else {"classes": sorted(glyphs.classes)}),
    }


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / "manifest.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
