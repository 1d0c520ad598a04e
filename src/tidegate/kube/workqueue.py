"""The queue between informers and reconcilers: each key at most once in it and in one worker.

Failures come back with exponential delay, as in client-go. The number of keys is bounded by the
number of objects, so the queue needs no bound of its own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from tidegate.kube.clock import Clock
from tidegate.kube.waiting import within

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """First in, first out, without duplicates, with delayed and rate-limited adds.

    Args:
        clock: source of time for delays.
        base_delay: seconds before the first retry of a key; doubles with each failure.
        max_delay: seconds at most between retries.
    """

    def __init__(self, clock: Clock, *, base_delay: float = 0.005, max_delay: float = 60.0) -> None:
        self._clock = clock
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._sequence = 0
        self._wake = asyncio.Event()
        self._reschedule = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Queue `key` unless it waits already; one in work is queued again when it is done."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._active:
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queue `key` in `seconds`; of several delays of one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._delayed, (due, self._sequence, key))
        self._reschedule.set()

    def retry(self, key: K) -> float:
        """Queue `key` after its back-off and return the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(self._base_delay * 2.0 ** min(failures, 32), self._max_delay)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Reset the back-off of `key` after a success."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; the caller must call `done` when it has finished with it."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """Mark `key` as finished; if it was added meanwhile, it is queued now."""
        self._active.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake.set()

    async def run_timers(self) -> None:
        """Move delayed keys to the queue when they are due; runs until cancelled."""
        while True:
            self._reschedule.clear()
            self._release_due()
            if not self._delayed:
                await self._reschedule.wait()
                continue
            wait = self._delayed[0][0] - self._clock.monotonic()
            await within(wait, self._reschedule.wait(), clock=self._clock)

    def _release_due(self) -> None:
        now = self._clock.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
