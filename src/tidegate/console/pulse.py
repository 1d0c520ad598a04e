"""Tells open pages that something has changed, at most a few times a second.

Informers pulse with every change of an object; while somebody listens there is a pulse each
second as well, because rates, seconds and cost move with time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from tidegate.kube.clock import Clock
from tidegate.kube.errors import TooManyRequests

_GAP_SECONDS = 0.2
_TICK_SECONDS = 1.0


class Pulse:
    """One for the console.

    Args:
        clock: the time.
        most_listeners: pages that may be open at once.

    Attributes:
        version: grows with every beat.
        closed: set when everybody has to go.
    """

    def __init__(self, clock: Clock, *, most_listeners: int = 48) -> None:
        self._clock = clock
        self._most = most_listeners
        self._listeners = 0
        self._listened = asyncio.Event()
        self._changed = asyncio.Event()
        self.closed = asyncio.Event()
        self.version = 0

    def beat(self) -> None:
        """Something has changed."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Let all listeners end."""
        self.closed.set()
        self.beat()

    async def run(self) -> None:
        """Beat each second while somebody listens, until cancelled."""
        while True:
            if not self._listeners:
                self._listened.clear()
                await self._listened.wait()
            await self._clock.sleep(_TICK_SECONDS)
            self.beat()

    def enter(self) -> Callable[[], None]:
        """Take a place for one page; returns what gives it back.

        Raises:
            TooManyRequests: all places are taken.
        """
        if self._listeners >= self._most:
            raise TooManyRequests(
                f"{self._most} pages of the console are open already: close one of them",
                retry_after=5,
            )
        self._listeners += 1
        self._listened.set()
        return self._leave

    async def beats(self) -> AsyncIterator[int]:
        """The version now and after every change; changes in quick succession come as one."""
        while not self.closed.is_set():
            changed = self._changed
            yield self.version
            await changed.wait()
            await self._clock.sleep(_GAP_SECONDS)

    def _leave(self) -> None:
        self._listeners -= 1
