"""A function over a stream of items in several processes or threads: results in the order of the items, and never many in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    executor: Executor | None, function: Callable[[Item], Result], items: Iterable[Item], *, in_flight: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for each item, in order.

    Args:
        executor: where to compute; ``None``: here, one after the other.
        items: taken only as fast as results are asked for.
        in_flight: most items that are worked on or wait to be yielded.
    """
    if executor is None:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def chunked(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Items in lists of ``size``, the last one perhaps shorter."""
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
