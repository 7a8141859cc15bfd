"""The engine while it loads, and how many requests may use it at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from backend.errors import EngineBusy, NotReady
from models import (
    Box,
    Engine,
    EngineMemoryError,
    Judged,
    PlacedEngine,
    ProposalOptions,
    Proposals,
    ProposingEngine,
    RgbImage,
    Segment,
    segment_judged,
)

_EVERYTHING = ProposalOptions()

logger = logging.getLogger(__name__)


class EngineHolder:
    """Loads an engine in the background, once, and lends it out.

    Args:
        load: builds the engine; called in a thread of its own by :meth:`start`.
        profile: what is being loaded, for messages.
        version: of the weights that will be loaded; the engine's own counts as soon as it is there.
        slots: how many engine calls may run at once. A call, not a request, takes a slot: a click is answered between two tasks
            of a long batch.
        max_waiting: how many requests beyond ``slots`` may be under way; the next one is refused at once, so that threads of the
            web server stay free for ``/health``.
    """

    def __init__(self, load: Callable[[], Engine], *, profile: str, version: str, slots: int, max_waiting: int) -> None:
        self.profile = profile
        self._version = version
        self._load = load
        self._slots = threading.BoundedSemaphore(slots)
        self._places = threading.BoundedSemaphore(slots + max_waiting)
        self._done = threading.Event()
        self._engine: Engine | None = None
        self._failure: str | None = None

    def start(self) -> None:
        """Begin to load; returns at once."""
        threading.Thread(target=self._load_and_keep, name="load-engine", daemon=True).start()

    @property
    def is_ready(self) -> bool:
        """Whether the engine can answer now."""
        return self._engine is not None

    @property
    def failure(self) -> str | None:
        """Why the engine could not be loaded; ``None`` while it loads and when it is ready."""
        return self._failure

    @property
    def version(self) -> str:
        """Label Studio's ``model_version``, the same before and after the engine is there: Label Studio asks ``/setup`` first."""
        return self._engine.version if self._engine is not None else self._version

    @property
    def placement(self) -> Mapping[str, str]:
        """``device`` and ``precision`` of the engine; empty until it is there, and for one that does not tell."""
        return self._engine.placement if isinstance(self._engine, PlacedEngine) else {}

    @property
    def takes_label_lists(self) -> bool | None:
        """Whether the engine looks for labels together (:class:`models.ProposingEngine`); ``None`` until it is there."""
        return None if self._engine is None else isinstance(self._engine, ProposingEngine)

    def wait(self, timeout: float) -> Engine:
        """Return the engine, waiting up to ``timeout`` seconds for it.

        Raises:
            NotReady: it is still loading after that time, or could not be loaded.
        """
        self._done.wait(timeout)
        if self._engine is not None:
            return self._engine
        if self._failure is not None:
            raise NotReady(f"the model {self.profile!r} could not be loaded: {self._failure}; correct it and restart the service")
        raise NotReady(f"the model {self.profile!r} is still loading; ask again in a moment (GET /ready tells when)")

    @contextmanager
    def lend(self, deadline: float, choose: Callable[[Engine], Engine] = lambda engine: engine) -> Iterator[Engine]:
        """Lend the engine to one request.

        Args:
            deadline: ``time.monotonic()`` after which nothing is waited for any more.
            choose: given the engine, tells which one answers in its place, as projects have versions of their own. All share the slots.

        Raises:
            EngineBusy: too many requests are under way already.
            NotReady: the engine is not there by the deadline.
        """
        if not self._places.acquire(blocking=False):
            raise EngineBusy("too many predictions are under way; try again later, or raise WORDMASK_MAX_WAITING")
        try:
            engine = choose(self.wait(max(0.0, deadline - time.monotonic())))
            shared = _SharedProposingEngine if isinstance(engine, ProposingEngine) else _SharedEngine
            yield shared(engine, self._slots, deadline)
        finally:
            self._places.release()

    def _load_and_keep(self) -> None:
        started = time.monotonic()
        try:
            self._engine = self._load()
            logger.info("model %s is ready after %.1f s", self._engine.version, time.monotonic() - started)
        except Exception as error:  # whatever it is, /health and /setup must be able to tell
            self._failure = f"{type(error).__name__}: {error}"
            logger.exception("the model %r could not be loaded", self.profile)
        finally:
            self._done.set()


class _SharedEngine:
    """An engine whose calls wait for a slot, until a deadline."""

    def __init__(self, engine: Engine, slots: threading.BoundedSemaphore, deadline: float) -> None:
        self._engine = engine
        self._slots = slots
        self._deadline = deadline

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def version(self) -> str:
        return self._engine.version

    def segment(self, image: RgbImage, phrases: Sequence[str]) -> list[list[Segment]]:
        with self._slot():
            return self._engine.segment(image, phrases)

    def segment_judged(self, image: RgbImage, phrases: Sequence[str]) -> list[Judged]:
        with self._slot():
            return segment_judged(self._engine, image, phrases)

    def segment_from_points(
        self,
        image: RgbImage,
        points: npt.NDArray[np.floating],
        is_positive: npt.NDArray[np.bool_],
        box: Box | None = None,
    ) -> list[Segment]:
        with self._slot():
            return self._engine.segment_from_points(image, points, is_positive, box)

    def segment_from_boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        with self._slot():
            return self._engine.segment_from_boxes(image, boxes)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise EngineBusy("the time for this request is used up; ask again, for less at once")
        if not self._slots.acquire(timeout=left):
            raise EngineBusy("the engine was busy with other requests for the whole time budget; raise WORDMASK_THREADS, or ask later")
        try:
            yield
        except EngineMemoryError as error:
            raise EngineBusy(f"{error}; ask again later") from error
        finally:
            self._slots.release()


class _SharedProposingEngine(_SharedEngine):
    """The same for an engine that takes lists of labels."""

    @property
    def prefers_lists(self) -> bool:
        return self._proposing.prefers_lists

    def propose(
        self, image: RgbImage, labels: Sequence[str], *, background: Sequence[str] = (), options: ProposalOptions = _EVERYTHING
    ) -> Proposals:
        with self._slot():
            return self._proposing.propose(image, labels, background=background, options=options)

    @property
    def _proposing(self) -> ProposingEngine:
        assert isinstance(self._engine, ProposingEngine), "lend makes this of such an engine only"
        return self._engine
