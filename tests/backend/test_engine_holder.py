"""The engine while it loads, and while many requests want it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from backend.engine_holder import EngineHolder
from backend.errors import EngineBusy, NotReady
from models import Engine, EngineMemoryError, ProposalOptions, ProposingEngine
from tests.factories import FakeEngine, FakeProposingEngine, make_image


def hold(load: Callable[[], Engine], *, slots: int = 1, max_waiting: int = 1) -> EngineHolder:
    holder = EngineHolder(load, profile="fake", version="fake-1.0.0+announced", slots=slots, max_waiting=max_waiting)
    holder.start()
    return holder


def soon() -> float:
    return time.monotonic() + 5


def test_the_version_is_told_at_once_and_the_engines_own_counts_when_it_is_there() -> None:
    gate = threading.Event()

    def load() -> Engine:
        gate.wait(5)
        return FakeEngine()

    holder = hold(load)
    assert (holder.is_ready, holder.version) == (False, "fake-1.0.0+announced")
    with pytest.raises(NotReady, match="still loading"):
        holder.wait(0.01)
    gate.set()
    assert holder.wait(5).version == "fake-1.0.0+00000000"
    assert holder.is_ready


def test_why_loading_failed_is_told_to_everybody_who_asks() -> None:
    def load() -> Engine:
        raise FileNotFoundError("no weights at fake.safetensors")

    holder = hold(load)
    for _ in range(2):
        with pytest.raises(NotReady, match=r"no weights at fake\.safetensors"):
            holder.wait(5)
    assert not holder.is_ready


def test_no_more_calls_run_at_once_than_there_are_slots() -> None:
    engine = FakeEngine(delay=0.05)
    holder = hold(lambda: engine, slots=2, max_waiting=6)

    def work() -> None:
        with holder.lend(soon()) as lent:
            lent.segment(make_image(), ["dog"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engine.calls) == 8
    assert engine.most_at_once == 2


def test_a_request_beyond_those_that_may_wait_is_refused_at_once() -> None:
    holder = hold(FakeEngine, slots=1, max_waiting=1)
    with holder.lend(soon()), holder.lend(soon()):
        started = time.monotonic()
        with pytest.raises(EngineBusy, match="WORDMASK_MAX_WAITING"), holder.lend(soon()):
            pass
        assert time.monotonic() - started < 1
    with holder.lend(soon()):
        pass


def test_a_request_whose_time_is_over_calls_the_engine_no_more() -> None:
    engine = FakeEngine()
    with hold(lambda: engine).lend(time.monotonic() + 0.05) as lent:
        lent.segment(make_image(), ["dog"])
        time.sleep(0.06)
        with pytest.raises(EngineBusy, match="time for this request is used up"):
            lent.segment(make_image(), ["cat"])
    assert engine.calls == [("segment", ["dog"])]


def test_a_call_that_gets_no_slot_in_time_gives_up() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(FakeEngine):
        def _work(self, method: str, arguments: object) -> None:
            entered.set()
            leave.wait(5)

    holder = hold(Slow, slots=1, max_waiting=1)

    def work() -> None:
        with holder.lend(soon()) as lent:
            lent.segment(make_image(), ["dog"])

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait(5)
    with holder.lend(time.monotonic() + 0.05) as lent, pytest.raises(EngineBusy, match="WORDMASK_THREADS"):
        lent.segment(make_image(), ["dog"])
    leave.set()
    thread.join()


def test_the_end_of_memory_means_busy_and_frees_the_slot() -> None:
    engine = FakeEngine(failure=EngineMemoryError("memory ran out"))
    with hold(lambda: engine, slots=1).lend(soon()) as lent:
        for _ in range(2):
            with pytest.raises(EngineBusy, match="memory ran out; ask again later"):
                lent.segment(make_image(), ["dog"])
        engine.failure = None
        assert len(lent.segment(make_image(), ["dog"])) == 1


def test_an_engine_that_takes_label_lists_is_lent_as_one() -> None:
    engine = FakeProposingEngine(prefers_lists=False)
    holder = hold(lambda: engine)
    with holder.lend(time.monotonic() + 0.05) as lent:
        assert isinstance(lent, ProposingEngine)
        assert holder.takes_label_lists
        assert not lent.prefers_lists
        assert [one.label for one in lent.propose(make_image(), ["dog"], background=["sky"]).proposals] == ["dog"]
        time.sleep(0.06)
        with pytest.raises(EngineBusy, match="time for this request is used up"):
            lent.propose(make_image(), ["cat"])
    assert engine.calls == [("propose", (["dog"], ["sky"], ProposalOptions()))]


def test_an_engine_that_takes_no_label_lists_is_not_lent_as_one() -> None:
    gate = threading.Event()

    def load() -> Engine:
        gate.wait(5)
        return FakeEngine()

    holder = hold(load)
    assert holder.takes_label_lists is None, "nobody knows while it loads"
    gate.set()
    with holder.lend(soon()) as lent:
        assert not isinstance(lent, ProposingEngine)
        assert holder.takes_label_lists is False
