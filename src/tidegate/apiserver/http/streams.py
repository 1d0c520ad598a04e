"""Endless responses: they end when the client goes, when their time is over, or when we stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tidegate.apiserver.http.exchange import Exchange
from tidegate.kube.errors import TooManyRequests

_LIMIT = 4096


class Streams:
    """Runs the producers of endless responses, and can end them all.

    Args:
        limit: how many may run at once.
    """

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def count(self) -> int:
        """How many run."""
        return len(self._running)

    def check_room(self) -> None:
        """Call before the response is started.

        Raises:
            TooManyRequests: as many run as may.
        """
        if len(self._running) >= self._limit:
            raise TooManyRequests("too many watches and logs are open", retry_after=5)

    async def run(self, exchange: Exchange, producer: Coroutine[Any, Any, None]) -> None:
        """Run `producer`, which writes to a started response, and then end the response.

        What the producer raises is raised here; the response is left unfinished then.
        """
        if await self.hold(producer, exchange.disconnected()):
            await exchange.write(b"", more=False)

    async def hold(
        self, producer: Coroutine[Any, Any, None], left: Coroutine[Any, Any, None]
    ) -> bool:
        """Run `producer` until it ends, `left` says that the client has gone, or we stop.

        What the producer raises is raised here. Returns whether the client is still there.
        """
        task = asyncio.create_task(producer)
        gone = asyncio.create_task(left)
        self._running.add(task)
        if self._stopping:
            task.cancel()
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            stayed = not gone.done()
        finally:
            self._running.discard(task)
            task.cancel()
            gone.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)
        if not task.cancelled():
            task.result()
        return stayed

    def stop(self) -> None:
        """End all that run, and those to come at once."""
        self._stopping = True
        for task in self._running:
            task.cancel()
