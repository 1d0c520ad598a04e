"""The recent events of one bucket, and cursors over them.

All watchers of a bucket read the same log, each at its own place: a change costs one append
whatever the number of watchers, and one that falls behind the log's start is told to list again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque

from tidegate.apiserver.storage.stored import Event, Stored
from tidegate.kube.errors import Gone

MAX_EVENTS = 10_000
MAX_BYTES = 8 * 1024 * 1024
_MAX_BATCH = 500


class EventLog:
    """Bounded by number of events and by the bytes they hold.

    Args:
        floor: the version at which the log starts: nothing before it can be replayed.
        head: the version up to which it is complete.
    """

    def __init__(
        self,
        floor: int,
        head: int,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.floor = floor
        self.head = head
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def append(self, event: Event) -> None:
        """Add one event; the oldest go when a bound is reached."""
        self._events.append(event)
        self._bytes += len(event.stored.raw)
        while len(self._events) > self._max_events or (
            self._bytes > self._max_bytes and len(self._events) > 1
        ):
            old = self._events.popleft()
            self._bytes -= len(old.stored.raw)
            self._dropped += 1
            self.floor = old.version

    def advance(self, version: int) -> None:
        """All events up to `version` are in; wakes the cursors that wait."""
        self.head = version
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def cursor(self, version: int) -> Cursor:
        """A reader of everything after `version`.

        Raises:
            Gone: some of it is no longer here, or `version` was never given.
        """
        if version < self.floor or version > self.head:
            raise expired(version, self.floor)
        position = bisect_right(self._events, version, key=lambda event: event.version)
        return Cursor(self, self._dropped + position)

    def before(self, version: int) -> dict[tuple[str, str], Stored | None] | None:
        """What was, at `version`, of each object that has changed since; None where it was not.

        None for the whole when `version` is older than the log.
        """
        if version < self.floor:
            return None
        past: dict[tuple[str, str], Stored | None] = {}
        for event in reversed(self._events):
            if event.version <= version:
                break
            past[event.stored.sort_key] = event.previous
        return past

    def read(self, index: int, version: int) -> list[Event]:
        """Events from the absolute `index` on, a bounded number of them.

        Raises:
            Gone: the reader, who has seen up to `version`, was too slow.
        """
        start = index - self._dropped
        if start < 0:
            raise expired(version, self.floor)
        if start >= len(self._events):
            return []
        stop = min(len(self._events), start + _MAX_BATCH)
        return [self._events[i] for i in range(start, stop)]

    def end(self) -> int:
        """The absolute index after the last event."""
        return self._dropped + len(self._events)

    async def wait(self) -> None:
        """Until the log advances."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class Cursor:
    """One watcher's place in a log."""

    def __init__(self, log: EventLog, index: int) -> None:
        self._log = log
        self._index = index
        self.version = log.head if index >= log.end() else 0

    def poll(self) -> list[Event]:
        """What has come since the last call, possibly nothing.

        Raises:
            Gone: the watcher was too slow.
        """
        events = self._log.read(self._index, self.version)
        self._index += len(events)
        self.version = self._log.head if self._index >= self._log.end() else events[-1].version
        return events

    async def next(self, timeout: float | None = None) -> list[Event]:
        """Wait for events; after `timeout` seconds without any, an empty list.

        Raises:
            Gone: the watcher was too slow.
        """
        events = self.poll()
        if events:
            return events
        try:
            async with asyncio.timeout(timeout):
                while not events:
                    await self._log.wait()
                    events = self.poll()
        except TimeoutError:
            return self.poll()
        return events


def expired(version: int, floor: int) -> Gone:
    """The 410 for a version outside the log."""
    return Gone(f"too old resource version: {version} ({floor})")
