"""A small database in one file that several processes share: every commit survives ``kill -9`` and a power cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import StorageError

_WAIT_SECONDS = 10.0
"""How long a writer waits for another one; every transaction here takes milliseconds."""


class SqliteFile:
    """Opens a connection per transaction: threads and processes share the file, never a connection.

    Write-ahead logging lets readers go on while somebody writes, and each commit is synced to the disk before it returns.

    Args:
        path: the file; it and its folder are made by the first transaction.
        schema: ``CREATE ... IF NOT EXISTS`` statements.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._schema = schema

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end of the block and undone by an exception; nobody else writes meanwhile.

        Raises:
            StorageError: the disk is full, the folder cannot be written, or the file is damaged.
        """
        with self._transaction("BEGIN IMMEDIATE") as database:
            yield database

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the database to read from, whatever others write meanwhile.

        Raises:
            StorageError: as for :meth:`write`.
        """
        with self._transaction("BEGIN") as database:
            yield database

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connect()
            try:
                connection.execute(begin)
                with connection:
                    yield connection
            finally:
                connection.close()
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of ours, not of the disk
        except (sqlite3.DatabaseError, OSError) as error:
            raise StorageError(f"{self.path} cannot be used: {error}; check free space and WORDMASK_DATA_DIR") from error

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE; {self._schema} COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection
