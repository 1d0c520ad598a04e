"""Drives a run: as many requests at once as asked for, until all are done or it is stopped.

One run at a time. The state lives here and not in the page, so a reload shows the run.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator

from portal.errors import RequestFailed, RunRefused
from portal.pods import PodWatch
from portal.pressure.images import ImageShelf
from portal.pressure.sender import Sender
from portal.pressure.signal import Signal
from portal.pressure.state import Run, RunSpec

SEEDS = range(2**31)
# After the end the chart goes on for this long, to show the pods leaving.
TAIL_SECONDS = 120.0


class PressureTest:
    """The present or last run, and the task that drives it."""

    def __init__(
        self,
        sender: Sender,
        watch: PodWatch,
        changed: Signal,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._watch = watch
        self._changed = changed
        self._clock = clock
        self._started = 0.0
        self._begin = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self.run: Run | None = None
        self.images = ImageShelf()

    def start(self, spec: RunSpec) -> Run:
        """Begin a run; the pictures of the run before are let go.

        Raises:
            RunRefused: a run is in work.
        """
        if self.run is not None and self.run.active:
            raise RunRefused("A pressure test is running already. Stop it, or wait for its end.")
        seeds = secrets.SystemRandom().sample(SEEDS, spec.total)
        self.run = Run(secrets.token_hex(6), spec, seeds)
        self.images = ImageShelf()
        self._started = self._clock()
        self._begin.set()
        self._changed.notify()
        return self.run

    def stop(self, *, now: bool = False) -> None:
        """Send no further request; with `now`, drop those in flight as well."""
        if self.run is None or not self.run.active:
            return
        self.run.stop()
        if now and self._work is not None:
            self._work.cancel()
        self._changed.notify()

    def elapsed(self) -> float:
        """Seconds since the present or last run was started."""
        return self._clock() - self._started

    def sample(self) -> None:
        """Note pods and requests in flight for the chart; called whenever pods were listed."""
        run = self.run
        if run is None or (run.ended is not None and self.elapsed() > run.ended + TAIL_SECONDS):
            return
        pods = self._watch.snapshot
        run.sample(
            self.elapsed(), ready=pods.count("ready"), starting=pods.count("pending", "starting")
        )

    async def serve(self) -> None:
        """Drive runs until cancelled."""
        while True:
            await self._begin.wait()
            self._begin.clear()
            if self.run is not None:
                await self._drive(self.run)

    async def _drive(self, run: Run) -> None:
        async with asyncio.TaskGroup() as group:
            self._work = group.create_task(self._all_requests(run))
        self._work = None
        run.finish(self.elapsed())
        self.sample()
        self._changed.notify()

    async def _all_requests(self, run: Run) -> None:
        numbers = iter(range(run.spec.total))
        with self._watch.wanted():
            async with asyncio.TaskGroup() as group:
                for _ in range(min(run.spec.concurrency, run.spec.total)):
                    group.create_task(self._requests(run, numbers))

    async def _requests(self, run: Run, numbers: Iterator[int]) -> None:
        """One of the `concurrency` senders: takes the next number until none is left."""
        for number in numbers:
            if run.status != "running":
                return
            shot = run.begin(number, self.elapsed())
            self._note()
            try:
                answer = await self._sender.send(run.spec.prompt, shot.seed)
            except RequestFailed as error:
                run.fail(number, self.elapsed(), str(error))
            else:
                self.images.put(number, answer.image)
                run.succeed(number, self.elapsed(), answer)
            self._note()

    def _note(self) -> None:
        self.sample()
        self._changed.notify()
