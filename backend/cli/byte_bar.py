"""A progress bar that counts bytes."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class ByteBar:
    """A bar on standard error while its block runs; called with the bytes done and, where known, how many there will be.

    Args:
        name: stands before it.
    """

    def __init__(self, name: str) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(name, total=None)

    def __enter__(self) -> ByteBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int | None) -> None:
        """Show how far it is; the bar appears with the first call, so that another may come before."""
        self._progress.start()
        self._progress.update(self._task, completed=done, total=total)
