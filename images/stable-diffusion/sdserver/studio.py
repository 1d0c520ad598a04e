"""One picture at a time: the queue before the engine, the job in work, and its way out.

The engine runs in a thread; the event loop reads the job's state, which only ever gets replaced
whole. A cancelled job (its client gone, the server told to end) is dropped at the next step, and
the next one starts only when the thread has really left the engine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from PIL import Image

from .engines.base import Dropped, Engine, Interrupted, Work

MAX_WAITING = 64


class Busy(Exception):
    """Too many jobs wait already."""


class Ending(Exception):
    """The server is told to end and takes no more work."""


@dataclass(frozen=True)
class JobState:
    """Where a job stands. `step` counts within picture number `picture`, from 0."""

    picture: int = 0
    step: int = 0
    steps: int = 0
    started: float | None = None
    preview: Callable[[], Image.Image] | None = None


@dataclass(eq=False)
class Job:
    """A request's pictures, made one after the other."""

    works: list[Work]
    on_change: Callable[[], None] | None = None  # called in the engine's thread
    clock: Callable[[], float] = time.monotonic
    state: JobState = field(default_factory=JobState)
    created: float = field(default_factory=time.time)
    interrupted: threading.Event = field(default_factory=threading.Event)
    skipped: threading.Event = field(default_factory=threading.Event)
    dropped: threading.Event = field(default_factory=threading.Event)

    @property
    def progress(self) -> float:
        state = self.state
        within = state.step / state.steps if state.steps else 0.0
        return min(1.0, (state.picture + within) / len(self.works))

    @property
    def seconds_left(self) -> float:
        """At the pace so far; 0 before the first step."""
        done, started = self.progress, self.state.started
        if started is None or done <= 0:
            return 0.0
        return (self.clock() - started) * (1 - done) / done

    def run(self, engine: Engine) -> list[Image.Image]:
        """Blocks. Fewer pictures than asked for if interrupted; raises `Dropped`."""
        self._update(started=self.clock())
        made: list[Image.Image] = []
        for number, work in enumerate(self.works):
            if self.interrupted.is_set():
                break
            self.skipped.clear()
            self._update(picture=number, step=0, steps=work.steps)
            made.append(engine.generate(work, self._on_step))
        self._update(picture=len(self.works), step=0, preview=None)
        return made

    def _on_step(self, step: int, steps: int, preview: Callable[[], Image.Image]) -> None:
        self._update(step=step, steps=steps, preview=preview)
        if self.dropped.is_set():
            raise Dropped
        if self.interrupted.is_set() or self.skipped.is_set():
            raise Interrupted

    def _update(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        if self.on_change:
            self.on_change()


class Studio:
    """The engine and the jobs before it, first come first served."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.current: Job | None = None
        self.ending = False
        self._turn = asyncio.Lock()
        self._jobs: set[Job] = set()
        self._cut_off = False

    async def make(self, job: Job) -> list[Image.Image]:
        """The job's pictures. Cancelling this drops the job; raises Busy, Ending."""
        if self._cut_off:
            raise Ending
        if len(self._jobs) > MAX_WAITING:
            raise Busy
        self._jobs.add(job)
        try:
            async with self._turn:
                if job.dropped.is_set():
                    raise Ending
                return await self._run(job)
        finally:
            self._jobs.discard(job)

    async def _run(self, job: Job) -> list[Image.Image]:
        self.current = job
        running = asyncio.ensure_future(asyncio.to_thread(job.run, self.engine))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            job.dropped.set()
            # The engine must be free before the next job may have it, however often we are told.
            while not running.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            running.exception()
            raise
        except Dropped:
            raise Ending from None
        finally:
            self.current = None

    def end_soon(self) -> None:
        """No longer healthy: what is in the queue is still made."""
        self.ending = True

    def cut_off(self) -> None:
        """Drop every job now: time is up."""
        self._cut_off = True
        for job in self._jobs:
            job.dropped.set()
