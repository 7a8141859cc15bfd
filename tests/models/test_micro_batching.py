"""Callers share batches, wait for nobody without need, and never pay for each other's mistakes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.micro_batching import MicroBatcher

ROOT = Path(__file__).parents[2]


class Encoder:
    """Squares numbers, remembers its batches and how many ran at once; fails on what is negative."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.seconds = seconds
        self.most_at_once = 0
        self._running = 0

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        time.sleep(self.seconds)
        self._running -= 1
        if any(number < 0 for number in numbers):
            raise ValueError(f"found a negative number among {len(numbers)}")
        return [number**2 for number in numbers]


def ask_all(batcher: MicroBatcher[int, int], numbers: Sequence[int]) -> list[int | Exception]:
    """One thread per number, all at once; their results or exceptions, in order."""
    together = threading.Barrier(len(numbers))

    def ask(number: int) -> int | Exception:
        together.wait()
        try:
            return batcher(lambda: number)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(ask, numbers))


def until(condition: Callable[[], bool]) -> None:
    """Wait for other threads to get somewhere."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_64_threads_each_get_their_own_result_in_fewer_runs():
    encoder = Encoder(seconds=0.01)
    batcher = MicroBatcher(encoder, largest=16, wait_seconds=0.05)
    numbers = list(range(64))
    assert ask_all(batcher, numbers) == [number**2 for number in numbers]
    assert sorted(number for batch in encoder.batches for number in batch) == numbers
    assert max(len(batch) for batch in encoder.batches) <= 16
    assert len(encoder.batches) < 32
    assert encoder.most_at_once == 1


def test_who_is_alone_waits_for_nobody():
    batcher = MicroBatcher(Encoder(), largest=8, wait_seconds=30)
    started = time.monotonic()
    assert [batcher(lambda: 3), batcher(lambda: 4)] == [9, 16]
    assert time.monotonic() - started < 5


def test_who_is_about_to_join_is_waited_for():
    encoder, preparing, ready = Encoder(), threading.Event(), threading.Event()
    batcher = MicroBatcher(encoder, largest=8, wait_seconds=30)

    def slowly() -> int:
        preparing.set()
        ready.wait(10)
        return 5

    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(batcher, slowly)
        preparing.wait(10)
        early = pool.submit(batcher, lambda: 3)
        until(lambda: len(batcher._queue) == 1)
        ready.set()
        assert (early.result(), late.result()) == (9, 25)
    assert encoder.batches == [[3, 5]]


def test_nobody_is_waited_for_beyond_the_bound():
    encoder, preparing, ready = Encoder(), threading.Event(), threading.Event()
    batcher = MicroBatcher(encoder, largest=8, wait_seconds=0.02)

    def slowly() -> int:
        preparing.set()
        ready.wait(10)
        return 5

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(batcher, slowly)
        preparing.wait(10)
        assert batcher(lambda: 3) == 9  # while the other is still preparing
        ready.set()
        assert late.result() == 25
    assert encoder.batches == [[3], [5]]


def test_a_full_batch_does_not_wait():
    encoder, preparing, ready = Encoder(), threading.Event(), threading.Event()
    batcher = MicroBatcher(encoder, largest=1, wait_seconds=30)

    def slowly() -> int:
        preparing.set()
        ready.wait(10)
        return 5

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(batcher, slowly)
        preparing.wait(10)
        assert batcher(lambda: 3) == 9
        ready.set()
        assert late.result() == 25


def test_requests_that_come_while_a_batch_runs_make_the_next_one_in_their_order():
    entered, go_on = threading.Event(), threading.Event()
    encoder = Encoder()

    def run(numbers: Sequence[int]) -> list[int]:
        entered.set()
        go_on.wait(10)
        return encoder(numbers)

    batcher = MicroBatcher(run, largest=8, wait_seconds=0.0)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(batcher, lambda: 1)]
        entered.wait(10)
        for number in (2, 3, 4):
            answers.append(pool.submit(batcher, lambda number=number: number))
            until(lambda number=number: len(batcher._queue) == number - 1)
        go_on.set()
        assert [answer.result() for answer in answers] == [1, 4, 9, 16]
    assert encoder.batches == [[1], [2, 3, 4]]


def test_a_bad_item_costs_only_its_own_caller_the_answer():
    batcher = MicroBatcher(Encoder(seconds=0.01), largest=8, wait_seconds=0.05)
    good, bad = list(range(14)), [-1, -2]
    answers = ask_all(batcher, [*good, *bad])
    assert answers[:14] == [number**2 for number in good]
    failures = answers[14:]
    assert [str(failure) for failure in failures] == ["found a negative number among 1"] * 2
    assert failures[0] is not failures[1]
    assert batcher(lambda: 3) == 9


def test_what_fails_while_it_is_prepared_reaches_no_batch():
    encoder = Encoder()
    batcher = MicroBatcher(encoder, largest=8, wait_seconds=30)

    def broken() -> int:
        raise OSError("no image")

    with pytest.raises(OSError, match="no image"):
        batcher(broken)
    assert encoder.batches == []
    assert batcher(lambda: 3) == 9  # and is not waited for


def test_a_function_that_loses_results_is_found_out():
    batcher = MicroBatcher(lambda numbers: [], largest=8, wait_seconds=0.0)
    with pytest.raises(ValueError, match="shorter"):
        batcher(lambda: 3)


def test_an_interruption_ends_the_run_of_one_and_not_the_service():
    entered = threading.Event()

    def run(numbers: Sequence[int]) -> list[int]:
        if 1 in numbers:
            entered.set()
            raise KeyboardInterrupt
        return [number**2 for number in numbers]

    batcher = MicroBatcher(run, largest=8, wait_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        batcher(lambda: 1)
    assert entered.is_set()
    assert batcher(lambda: 3) == 9


def test_callers_in_a_batch_whose_thread_was_interrupted_are_told():
    preparing, ready = threading.Event(), threading.Event()

    def run(numbers: Sequence[int]) -> list[int]:
        raise KeyboardInterrupt

    def slowly() -> int:
        preparing.set()
        ready.wait(10)
        return 5

    batcher = MicroBatcher(run, largest=8, wait_seconds=30)
    with ThreadPoolExecutor(2) as pool:
        follower = pool.submit(batcher, slowly)
        preparing.wait(10)
        leader = pool.submit(batcher, lambda: 3)
        until(lambda: len(batcher._queue) == 1)
        ready.set()
        with pytest.raises(KeyboardInterrupt):
            leader.result()
        with pytest.raises(RuntimeError, match="interrupted; ask again"):
            follower.result()


def test_a_batch_holds_at_least_one_item():
    with pytest.raises(ValueError, match="found largest=0"):
        MicroBatcher(Encoder(), largest=0, wait_seconds=0.0)


def test_it_leaves_no_thread_behind_and_a_process_ends_while_callers_wait():
    before = threading.active_count()
    ask_all(MicroBatcher(Encoder(), largest=4, wait_seconds=0.0), list(range(8)))
    assert threading.active_count() == before
    code = """
import threading, time
from models.micro_batching import MicroBatcher
batcher = MicroBatcher(lambda numbers: time.sleep(60), largest=1, wait_seconds=0.0)
for number in range(3):
    threading.Thread(target=lambda: batcher(lambda: 1), daemon=True).start()
time.sleep(0.2)
"""
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=50, check=False).returncode == 0
    assert time.monotonic() - started < 50
