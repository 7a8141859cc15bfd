"""How `make test` runs the tests in several processes: in which order they are shared out, and what is told on the way."""

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


class ToldAtOnce:
    """Names every failure when it happens: a run that is cut short never gets to pytest's summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line("")
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)


@pytest.hookimpl(trylast=True)  # pytest-xdist's process at the top has its terminal by then, those that run the tests have none
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ToldAtOnce(terminal))
