"""Pickles of plain data, read without running anything that they ask for.

A pickle is a program. Before one is loaded its instructions are looked through: those that build ``None``, numbers, texts, lists, dicts
and tuples may pass; one that names a class or a function, or calls it, ends the reading. So nothing of the file is ever called.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NoReturn

from models.data.readers.source import DatasetReadError

_FRAMES = "PROTO FRAME STOP MARK POP POP_MARK DUP"
_MEMO = "PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET"
_NUMBERS = "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT"
_TEXTS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8"
_LISTS = "EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS"
_TUPLES = frozenset(["EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"])
_PLAIN = _TUPLES.union(*(names.split() for names in (_FRAMES, _MEMO, _NUMBERS, _TEXTS, _LISTS)))

_INSTRUCTIONS = {instruction.code.encode("latin-1"): instruction for instruction in pickletools.opcodes}

_MOST_TUPLES = 10_000
"""A tuple inside a tuple inside ..., used as a key, is walked by a function that calls itself: deep enough, and Python crashes."""


def load_plain_pickle(path: Path) -> Any:
    """Read a pickle of Python 2 or 3 that holds plain data only.

    Raises:
        DatasetReadError: the file cannot be read, is no whole pickle, or asks for anything else than plain data.
    """
    try:
        data = path.read_bytes()
        _check(data)
        # What Python 2 called a string has no encoding of its own; latin-1 can read any.
        return _NothingElse(BytesIO(data), encoding="latin-1").load()
    except OSError as error:
        raise DatasetReadError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except _NotPlain as error:
        raise DatasetReadError(
            f"{path.name} is not read: {error}; plain data were expected, get the file where it was published"
        ) from error
    except (
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        MemoryError,
        RecursionError,
        pickle.PickleError,
    ) as error:
        found = " ".join(str(error).split())[:100]
        raise DatasetReadError(f"{path.name} is damaged or ends in the middle ({found}); get the file again") from error


class _NotPlain(Exception):  # noqa: N818 - says what was found
    """The pickle asks for something that is no plain data."""


class _NothingElse(pickle.Unpickler):
    """The second lock, should the first one have let something through."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise _NotPlain(f"it asks for {module_name}.{global_name}")


def _instructions(data: bytes) -> Iterator[tuple[str, Any, int]]:
    """Name, argument and place of each instruction.

    ``pickletools.genops`` would do, if it read texts of Python 2 that are not ASCII.
    """
    stream = BytesIO(data)
    name = ""
    while name != "STOP":
        position = stream.tell()
        instruction = _INSTRUCTIONS.get(stream.read(1))
        if instruction is None:
            raise ValueError(f"no instruction at byte {position} of {len(data)}")
        name = instruction.name
        read = instruction.arg.reader if instruction.arg else _read_nothing
        yield name, stream.readline() if name == "STRING" else read(stream), position


def _read_nothing(_: IO[bytes]) -> None:
    """The argument of an instruction without one."""


def _check(data: bytes) -> None:
    tuples = 0
    for name, argument, position in _instructions(data):
        if name not in _PLAIN:
            wanted = f" {argument[:100]!r}" if isinstance(argument, str) else ""
            raise _NotPlain(f"at byte {position} it wants to run {name}{wanted}")
        tuples += name in _TUPLES
        # The place in the memo is reserved at once, so a wild number would take all memory.
        is_wild = name.endswith("PUT") and isinstance(argument, int) and argument > len(data)
        if is_wild or tuples > _MOST_TUPLES:
            raise _NotPlain(f"at byte {position} it wants {'a memo' if is_wild else 'tuples'} beyond all bounds")
