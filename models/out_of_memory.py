"""When memory ends: smaller batches first, then one clear error. A service stays alive either way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from models.engine import EngineMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")

_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""In messages of errors that have no type of their own: PyTorch on processors and Apple devices, and CUDA's libraries."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def run_in_parts(
    run: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], *, release: Callable[[], None]
) -> Iterator[Result]:
    """Results of ``run(items)``, from halves, quarters and so on when memory runs out.

    Args:
        run: makes one result per item, in order.
        items: to be worked on, at first all at once.
        release: gives memory that nobody uses back to the device; called before every new attempt.

    Raises:
        RuntimeError: memory runs out with a single item, as ``run`` told it.
    """
    start, size = 0, len(items)
    while start < len(items):
        results = None
        try:
            results = run(items[start : start + size])
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        # Out here: as long as an error is being handled, it holds the tensors of the attempt.
        if results is None:
            release()
            size //= 2
        else:
            yield from results
            start += size


@contextmanager
def memory_errors_told(release: Callable[[], None]) -> Iterator[None]:
    """Turn an end of memory inside into one error that says what to do.

    Args:
        release: gives memory that nobody uses back to the device.

    Raises:
        EngineMemoryError: memory ran out inside.
    """
    reason = None
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, EngineMemoryError) or not is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if reason is not None:
        release()
        raise EngineMemoryError(
            f"memory ran out, even for one image and one phrase ({reason}); free memory on the device, "
            "or use a smaller model, lower precision or fewer threads"
        )
