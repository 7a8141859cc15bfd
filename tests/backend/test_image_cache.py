from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from backend.image_cache import ImageCache
from backend.image_fetch import Validators


def test_entry_comes_back_with_its_validators(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "images", 1000)
    cache.put("a", b"bytes\nof a", Validators('"1"', "yesterday"))
    entry = cache.get("a")
    assert entry is not None
    assert (entry.body, entry.validators) == (b"bytes\nof a", Validators('"1"', "yesterday"))
    assert abs(entry.confirmed - time.time()) < 60
    assert cache.get("b") is None


def test_reading_does_not_confirm_but_confirming_does(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, 1000)
    cache.put("a", b"bytes", Validators())
    [file] = tmp_path.iterdir()
    os.utime(file, (1000, 1000))
    assert cache.get("a").confirmed == cache.get("a").confirmed == 1000  # type: ignore[union-attr]
    cache.confirm("a")
    assert cache.get("a").confirmed > 1000  # type: ignore[union-attr]


def test_least_recently_used_goes_first_when_the_folder_is_full(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, 1000)
    for name in ("a", "b"):
        cache.put(name, bytes(400), Validators())
        for file in tmp_path.iterdir():
            os.utime(file, (1000 if name == "a" else file.stat().st_atime - 100, time.time()))
    assert cache.get("a") is not None  # used just now, so that b is the older one
    cache.put("c", bytes(400), Validators())
    assert (cache.get("a") is None, cache.get("b") is None, cache.get("c") is None) == (False, True, False)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000


def test_file_larger_than_the_whole_cache_is_not_kept(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, 100)
    cache.put("a", bytes(101), Validators())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"no json\n", b'{"size": 9, "etag": null, "last_modified": null}\nshort', b"[]\nx"])
def test_damaged_entry_counts_as_absent(tmp_path: Path, damage: bytes) -> None:
    cache = ImageCache(tmp_path, 1000)
    cache.put("a", b"bytes", Validators())
    [file] = tmp_path.iterdir()
    file.write_bytes(damage)
    assert cache.get("a") is None


def test_part_of_a_killed_writer_is_removed_and_a_young_one_is_left(tmp_path: Path) -> None:
    old, young = tmp_path / "old.part", tmp_path / "young.part"
    for part in (old, young):
        part.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    ImageCache(tmp_path, 1000).put("a", b"bytes", Validators())
    assert (old.exists(), young.exists()) == (False, True)


def test_folder_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    ImageCache(tmp_path / "file" / "images", 1000).put("a", b"bytes", Validators())
    assert "cannot be written" in caplog.text
