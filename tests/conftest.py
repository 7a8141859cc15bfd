"""How the tests are shared out when `make test` runs them in several processes."""

from __future__ import annotations

import pytest

REAL_SERVERS = ("label_studio", "browser")
"""Marks of tests that share one Label Studio, which takes half a minute to start."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each file's tests, and all tests of the real Label Studio, in one process; begin with the files that take longest."""
    if not hasattr(config, "workerinput"):
        return  # one process: the order of the files
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (_process_of(item) != "label_studio", item.path not in slow_files))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_process_of(item)))


def _process_of(item: pytest.Item) -> str:
    return "label_studio" if any(item.get_closest_marker(mark) for mark in REAL_SERVERS) else str(item.path)
