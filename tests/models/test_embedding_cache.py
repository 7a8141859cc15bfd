"""Image features are made once, kept under a budget, and never get in the way of an answer."""

from __future__ import annotations

import errno
import shutil
import threading

import numpy as np
import pytest
import torch

import models.embedding_cache
from models.embedding_cache import EmbeddingCache, image_digest

BYTES = 4 * 10


def features(value: float):
    """Ten floats."""
    return {"embedding": torch.full((2, 5), value)}


class Maker:
    """Counts how often features were made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def get(self, cache: EmbeddingCache, key: str) -> float:
        def make():
            self.made.append(key)
            return features(float(ord(key)))

        return float(cache.get(key, make)["embedding"][1, 4])


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_known_features_are_not_made_again(maker):
    cache = EmbeddingCache(10 * BYTES)
    assert [maker.get(cache, key) for key in "abab"] == [97, 98, 97, 98]
    assert maker.made == ["a", "b"]


def test_the_least_recently_used_leave_when_the_budget_is_spent(maker):
    cache = EmbeddingCache(2 * BYTES)
    for key in "abacab":
        maker.get(cache, key)
        assert cache.used_bytes <= 2 * BYTES
    assert maker.made == ["a", "b", "c", "b"]


@pytest.mark.parametrize("budget", [0, BYTES - 1])
def test_features_larger_than_the_budget_are_answered_but_not_kept(maker, budget):
    cache = EmbeddingCache(budget)
    assert [maker.get(cache, "a"), maker.get(cache, "a")] == [97, 97]
    assert cache.used_bytes == 0
    assert maker.made == ["a", "a"]


def test_a_negative_budget_is_refused():
    with pytest.raises(ValueError, match="must not be negative, found -1"):
        EmbeddingCache(-1)


def test_threads_that_ask_for_the_same_key_at_once_make_it_once():
    cache, made, started = EmbeddingCache(10 * BYTES), [], threading.Barrier(8)

    def slow():
        made.append(1)
        threading.Event().wait(0.1)
        return features(1.0)

    def ask():
        started.wait()
        assert cache.get("a", slow)["embedding"].sum() == 10

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_failed_attempt_leaves_nothing_behind(maker):
    cache = EmbeddingCache(10 * BYTES)

    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        cache.get("a", fail)
    assert maker.get(cache, "a") == 97


def test_the_disk_survives_a_restart(maker, tmp_path):
    assert maker.get(EmbeddingCache(0, tmp_path / "cache"), "a") == 97
    assert maker.get(EmbeddingCache(0, tmp_path / "cache"), "a") == 97
    assert maker.made == ["a"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, "half"], ids=["empty", "zeros", "half"])
def test_a_broken_file_is_made_anew_and_replaced(maker, tmp_path, content):
    maker.get(EmbeddingCache(0, tmp_path), "a")
    file = tmp_path / "a.safetensors"
    file.write_bytes(file.read_bytes()[:-7] if content == "half" else content)
    assert maker.get(EmbeddingCache(0, tmp_path), "a") == 97
    assert maker.get(EmbeddingCache(0, tmp_path), "a") == 97
    assert maker.made == ["a", "a"]


def test_a_full_disk_costs_no_answer(maker, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(models.embedding_cache, "save_file", full)
    assert maker.get(EmbeddingCache(0, tmp_path), "a") == 97
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_vanished_costs_no_answer(maker, tmp_path):
    cache = EmbeddingCache(10 * BYTES, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file in its place")
    assert [maker.get(cache, "a"), maker.get(cache, "a")] == [97, 97]
    assert maker.made == ["a"]


def test_a_digest_names_pixels_and_shape():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    changed = image.copy()
    changed[1, 2, 0] += 1
    assert image_digest(image) == image_digest(image.copy())
    assert image_digest(image[:, ::-1]) == image_digest(image[:, ::-1].copy())
    assert len({image_digest(i) for i in (image, changed, image.reshape(4, 2, 3), image[:, ::-1])}) == 4
