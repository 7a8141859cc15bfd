"""Benchmarks are run by hand; what they start must start."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import requests

OVERHEAD = Path(__file__).parents[1] / "benchmarks" / "overhead.py"


@pytest.mark.slow
def test_the_service_of_the_overhead_benchmark_starts_and_tells_the_engines_time(tmp_path):
    spec = importlib.util.spec_from_file_location("overhead", OVERHEAD)
    overhead = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(overhead)
    overhead.write_images(tmp_path)
    with overhead.file_server(tmp_path) as files, overhead.service(tmp_path / "state", "tiny") as url, requests.Session() as session:
        answer = overhead.ask(session, url, f"{files}/256-0.jpg")
    assert 0 < answer["engine"] < answer["total"]
