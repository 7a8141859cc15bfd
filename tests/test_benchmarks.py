"""Benchmarks are run by hand; what they start must start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from benchmarks import overhead

FOLDER = Path(__file__).parents[1] / "benchmarks"
READ_ALL = """
import runpy, sys
path = list(sys.path)
for file in sys.argv[1:]:
    runpy.run_path(file)
    sys.path[:] = path
    for name in [one for one in sys.modules if one.partition(".")[0] in ("benchmarks", "tools")]:
        del sys.modules[name]
"""
"""For a process that knows of the repository only what is installed."""


@pytest.mark.slow
def test_every_file_finds_what_it_needs_when_it_is_run_as_a_script(tmp_path):
    files = [file for file in sorted(FOLDER.glob("*.py")) if "__main__" in file.read_text()]
    assert len(files) > 10
    done = subprocess.run([sys.executable, "-c", READ_ALL, *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_service_of_the_overhead_benchmark_starts_and_tells_the_engines_time(tmp_path):
    overhead.write_images(tmp_path)
    with overhead.file_server(tmp_path) as files, overhead.service(tmp_path / "state", "tiny") as url, requests.Session() as session:
        answer = overhead.ask(session, url, f"{files}/256-0.jpg")
    assert 0 < answer["engine"] < answer["total"]
