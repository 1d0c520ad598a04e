"""Endless responses: they end when the client goes, when their time is over, or when we stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tidegate.apiserver.http.exchange import Exchange


class Streams:
    """Runs the producers of endless responses, and can end them all."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self, exchange: Exchange, producer: Coroutine[Any, Any, None]) -> None:
        """Run `producer`, which writes to a started response, and then end the response.

        What the producer raises is raised here; the response is left unfinished then.
        """
        task = asyncio.create_task(producer)
        gone = asyncio.create_task(exchange.disconnected())
        self._running.add(task)
        if self._stopping:
            task.cancel()
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            left = gone.done()
        finally:
            self._running.discard(task)
            task.cancel()
            gone.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)
        if not task.cancelled():
            task.result()
        if not left:
            await exchange.write(b"", more=False)

    def stop(self) -> None:
        """End all that run, and those to come at once."""
        self._stopping = True
        for task in self._running:
            task.cancel()
