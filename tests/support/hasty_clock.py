"""A clock that runs faster than the machine's, where real processes are on the other side.

It shortens pauses that have no event of their own, such as those between tries; who wants to know
how long something takes has `virtual_clock`.
"""

from __future__ import annotations

import asyncio
import time


class HastyClock:
    """Satisfies `tidegate.kube.clock.Clock`; ten seconds pass in one of the machine's."""

    _PACE = 10.0

    def __init__(self) -> None:
        self._start = time.time()
        self._began = time.monotonic()

    def time(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self._PACE

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._PACE)
