"""In which order the tests are shared out when `make test` runs them in several processes."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process waits for them at the end."""
    if not hasattr(config, "workerinput"):
        return  # one process: the order of the files
    longest: dict[Path, float] = {}  # slow files, with the seconds that one of their tests may take at most
    for item in items:
        if item.get_closest_marker("slow"):
            limit = item.get_closest_marker("timeout")
            longest[item.path] = max(longest.get(item.path, 0.0), float(limit.args[0]) if limit is not None else 0.0)
    items.sort(key=lambda item: -longest.get(item.path, -1.0))
