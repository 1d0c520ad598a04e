"""A broadcast without a queue: who waits is woken, and then looks at the state itself.

A slow reader therefore costs no memory, it just sees several changes at once.
"""

from __future__ import annotations

import asyncio


class Signal:
    """Wakes all waiters; `close` makes it stay awake so that endless streams end."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.closed = False

    def notify(self) -> None:
        """Something changed."""
        self._event.set()
        if not self.closed:
            self._event = asyncio.Event()

    def close(self) -> None:
        """The program ends."""
        self.closed = True
        self._event.set()

    def next(self) -> asyncio.Event:
        """The event of the next change; take it before looking at the state, then wait for it."""
        return self._event
