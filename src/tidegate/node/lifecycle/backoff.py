"""Kubernetes' pauses before something that failed is tried again."""

from __future__ import annotations


class BackOff:
    """Kubernetes' restart delays: none, then 10 s doubling up to 5 min; forgotten when it ran well.

    Args:
        free: how many tries are not delayed at all.
    """

    def __init__(
        self, *, free: int, base: float = 10.0, limit: float = 300.0, reset: float = 600.0
    ) -> None:
        self._free = free
        self._base = base
        self._limit = limit
        self._reset = reset
        self._tries = 0

    def next_delay(self, *, ran: float = 0.0) -> float:
        """Seconds to wait before the next try, after one that ran for `ran` seconds."""
        if ran >= self._reset:
            self._tries = 0
        self._tries += 1
        if self._tries <= self._free:
            return 0.0
        return min(self._base * 2.0 ** min(self._tries - self._free - 1, 16), self._limit)
