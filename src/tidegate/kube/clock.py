"""Time as a dependency, so that every timer in Tidegate can run in virtual time under test."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What timers need: the wall clock, a steady clock and a way to wait. All in seconds."""

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends the wait at once."""
        ...


class SystemClock:
    """The machine's own time."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def rfc3339(seconds: float) -> str:
    """Kubernetes' `Time`: UTC, whole seconds."""
    return _date(int(seconds)) + "Z"


def rfc3339_micro(seconds: float) -> str:
    """Kubernetes' `MicroTime`: UTC, microseconds."""
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_date(whole)}.{micro:06d}Z"


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_rfc3339(text: str) -> float:
    """Seconds since the Unix epoch of a `Time` or `MicroTime`.

    Raises:
        ValueError: the text is no RFC 3339 timestamp.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
