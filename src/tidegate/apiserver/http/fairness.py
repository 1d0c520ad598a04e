"""Seats for requests, shared fairly: one client with many requests waits behind itself only.

There is a fixed number of seats. When all are taken, requests wait in one queue per flow (user and
address) and free seats go round the flows. A flow's queue is bounded: beyond it, and after too
long a wait, the answer is 429.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tidegate.kube.errors import TooManyRequests

_SEATS = 64
_QUEUE = 1024
_WAIT_SECONDS = 30.0


class Fairness:
    """Hands out seats.

    Args:
        seats: requests at work at once.
        queue: requests of one flow that may wait.
        wait_seconds: how long one waits at most.
    """

    def __init__(
        self, *, seats: int = _SEATS, queue: int = _QUEUE, wait_seconds: float = _WAIT_SECONDS
    ) -> None:
        self._free = seats
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._flows: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def seat(self, flow: str) -> AsyncGenerator[None]:
        """Hold a seat while in the context.

        Raises:
            TooManyRequests: the flow's queue is full, or the wait was too long.
        """
        if self._free and not self._flows:
            self._free -= 1
        else:
            await self._wait(flow)
        try:
            yield
        finally:
            self._release()

    async def _wait(self, flow: str) -> None:
        queue = self._flows.setdefault(flow, deque())
        if len(queue) >= self._queue:
            raise _too_many()
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # The seat came together with the cancellation: pass it on.
                self._release()
            else:
                self._forget(flow, turn)
            if isinstance(error, TimeoutError):
                raise _too_many() from error
            raise

    def _release(self) -> None:
        while self._flows:
            flow, queue = self._flows.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._flows[flow] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, flow: str, turn: asyncio.Future[None]) -> None:
        queue = self._flows.get(flow)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._flows[flow]


def _too_many() -> TooManyRequests:
    return TooManyRequests("Too many requests, please try again later.", retry_after=1)
