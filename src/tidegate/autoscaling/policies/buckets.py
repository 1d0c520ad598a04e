"""Demand over time in buckets of a second, and Knative's two ways to average it.

The demand between two reports is the last one reported, so concurrency is weighted by time. The
second under way counts by what it has seen so far, or the first request after a pause would have
to wait for its end; a rate is taken from whole seconds where there are any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MIN_COEFFICIENT = 0.2
_TAIL = 0.9999


@dataclass
class _Bucket:
    load_seconds: float = 0.0
    covered: float = 0.0
    requests: int = 0


class DemandBuckets:
    """The demand of one revision; changed by reports alone, and every method is given the time."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self._first: float | None = None
        self._last = 0.0
        self._load = 0.0
        self._requests = 0
        self._horizon = 1

    @property
    def load(self) -> float:
        """Requests at once, as reported last."""
        return self._load

    def report(self, load: float, requests: int, now: float, *, horizon: float) -> None:
        """Note `load` requests at once from `now` on, and `requests` since the gateway began.

        A counter that fell belongs to a gateway that started anew. What is older than `horizon`
        seconds is forgotten.
        """
        self._horizon = int(horizon) + 1
        if self._first is None:
            self._first, self._last = now, now
            arrived = 0
        else:
            self._fill(now)
            fell = requests < self._requests
            arrived = requests if fell else requests - self._requests
        self._load, self._requests = load, requests
        if arrived:
            self._bucket(now).requests += arrived

    def concurrency(self, window: float, now: float, algorithm: str) -> float:
        """Average requests at once over the last `window` seconds."""
        self._fill(now)
        values = self._values(window, math.floor(now) + 1, _mean_load)
        under_way = self._buckets.get(math.floor(now))
        if values and (under_way is None or not under_way.covered):
            values[-1] = self._load
        return _aggregate(values, window, algorithm)

    def rps(self, window: float, now: float, algorithm: str) -> float:
        """Average requests per second over the last `window` seconds."""
        whole = self._values(window, math.floor(now), _requests)
        if not any(whole):
            whole = self._values(window, math.floor(now) + 1, _requests)
        return _aggregate(whole, window, algorithm)

    def _values(self, window: float, end: int, value: Callable[[_Bucket], float]) -> list[float]:
        """One value per second before `end`: those of the window that came after the start."""
        if self._first is None:
            return []
        begin = max(math.floor(self._first), end - int(window))
        empty = _Bucket()
        return [value(self._buckets.get(second, empty)) for second in range(begin, end)]

    def _fill(self, now: float) -> None:
        """Spread the load since the last report over the seconds it lasted."""
        start = max(self._last, now - self._horizon)
        if self._load:
            while start < now:
                edge = min(now, math.floor(start) + 1.0)
                bucket = self._bucket(start)
                bucket.load_seconds += self._load * (edge - start)
                bucket.covered += edge - start
                start = edge
        else:
            self._cover_idle(start, now)
        self._last = max(self._last, now)

    def _cover_idle(self, start: float, now: float) -> None:
        """Idle seconds need no bucket, but those that exist are covered by them."""
        for second in {math.floor(start), math.floor(now)}:
            bucket = self._buckets.get(second)
            if bucket is not None:
                bucket.covered += max(0.0, min(now, second + 1.0) - max(start, float(second)))

    def _bucket(self, time: float) -> _Bucket:
        second = math.floor(time)
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = _Bucket()
            oldest = second - self._horizon
            for stale in [s for s in self._buckets if s < oldest]:
                del self._buckets[stale]
        return bucket


def _mean_load(bucket: _Bucket) -> float:
    return bucket.load_seconds / bucket.covered if bucket.covered else 0.0


def _requests(bucket: _Bucket) -> float:
    return float(bucket.requests)


def _aggregate(values: Sequence[float], window: float, algorithm: str) -> float:
    if not values:
        return 0.0
    if algorithm == "weighted-exponential":
        return weighted(values, int(window))
    return sum(values) / len(values)


def weighted(values: Sequence[float], buckets: int) -> float:
    """Exponentially weighted average, newest last; 99.99 % of the weight lies in the window."""
    coefficient = max(1 - (1 - _TAIL) ** (1 / buckets), _MIN_COEFFICIENT)
    weight = coefficient
    total = 0.0
    for value in reversed(values):
        total += value * weight
        weight *= 1 - coefficient
    return total
