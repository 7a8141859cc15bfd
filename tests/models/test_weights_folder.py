"""Weights are found, and their version told, before anything is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models import WeightsError, find_weights
from tests.factories import make_weights_folder


def test_the_version_names_folder_release_and_content(tmp_path: Path) -> None:
    folder = make_weights_folder(tmp_path / "mine", release="1.2.0", content=b"abc")
    found = find_weights(folder)
    assert (found.path, found.name, found.manifest["architecture"]) == (folder, "mine", "ssp-sam")
    assert found.version == "mine-1.2.0+ba7816bf"  # SHA-256 of "abc", FIPS 180-2


def test_the_weights_file_itself_names_its_folder(tmp_path: Path) -> None:
    folder = make_weights_folder(tmp_path / "mine")
    assert find_weights(str(folder / "model.safetensors")) == find_weights(folder)


def test_other_numbers_of_the_same_size_and_age_are_another_version(tmp_path: Path) -> None:
    folder = make_weights_folder(tmp_path / "mine", content=b"old")
    before = find_weights(folder)
    (folder / "new").write_bytes(b"new")
    age = (folder / "model.safetensors").stat()
    os.utime(folder / "new", ns=(age.st_atime_ns, age.st_mtime_ns))
    (folder / "new").replace(folder / "model.safetensors")
    assert find_weights(folder).version != before.version


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        pytest.param("model.safetensors", None, r"no model\.safetensors in .* holds engine\.json and", id="no weights"),
        pytest.param("engine.json", None, r"no engine\.json in", id="no manifest"),
        pytest.param("engine.json", b"{", "is not JSON", id="manifest cut short"),
        pytest.param("engine.json", b"\xff{", "is not JSON", id="manifest that is no text"),
        pytest.param("engine.json", b"[]", "lacks the text 'architecture' and 'release'", id="manifest that is a list"),
        pytest.param("engine.json", b'{"architecture": "x", "release": 1}', "lacks the text 'release'", id="release a number"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    folder = make_weights_folder(tmp_path / "mine")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        find_weights(folder)


@pytest.mark.parametrize("name", ["no such profile", "\0", "x" * 5000, "~nobody-of-that-name/weights"])
def test_names_that_cannot_be_files_are_refused_like_any_other(name: str) -> None:
    with pytest.raises(WeightsError, match=r"no profile and no folder is called|cannot be read"):
        find_weights(name)


def test_finding_weights_loads_no_torch(tmp_path: Path) -> None:
    folder = make_weights_folder(tmp_path / "mine")
    code = f"import sys, models; models.profiles(); models.find_weights({str(folder)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
