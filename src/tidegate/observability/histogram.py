"""Histograms of times whose quantiles are within 1 % of the exact ones, at a few hundred bytes.

The buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile
sketch with relative-error guarantees", VLDB 2019): bucket i holds (g^(i-1), g^i] with
g = (1 + a) / (1 - a), and stands for 2 g^i / (1 + g), which is at most a share a away from every
value in it. Merging two histograms loses nothing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Self

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)

# Times come in whole milliseconds. Zero has a bucket of its own; what takes longer than a day is
# counted as a day.
_ZERO = -1
_LONGEST_MS = 86_400_000
_TABLE_MS = 4096

# When packed: a bucket in two bytes, its count in four.
_ENTRY_BYTES = 6


def _computed_bucket(milliseconds: int) -> int:
    if milliseconds <= 0:
        return _ZERO
    return math.ceil(math.log(min(milliseconds, _LONGEST_MS)) / _LOG_GAMMA)


@cache
def _table() -> tuple[int, ...]:
    return tuple(_computed_bucket(value) for value in range(_TABLE_MS))


def bucket_of(milliseconds: int) -> int:
    """The bucket of a time; quick for the common ones."""
    if 0 <= milliseconds < _TABLE_MS:
        return _table()[milliseconds]
    return _computed_bucket(milliseconds)


def value_of(bucket: int) -> float:
    """Milliseconds that stand for a bucket."""
    return 0.0 if bucket == _ZERO else 2 * _GAMMA**bucket / (1 + _GAMMA)


class Histogram:
    """Counts per bucket, sparse; grows with the spread of the values, not with their number."""

    __slots__ = ("_counts", "count")

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts: dict[int, int] = dict(counts or {})
        self.count = sum(self._counts.values())

    def add(self, milliseconds: int) -> None:
        """Count one time, in whole milliseconds; negative ones count as zero."""
        bucket = bucket_of(milliseconds)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1

    def merge(self, other: Histogram) -> None:
        """Count everything that `other` has counted."""
        counts = self._counts
        for bucket, number in other._counts.items():
            counts[bucket] = counts.get(bucket, 0) + number
        self.count += other.count

    def quantile(self, share: float) -> float | None:
        """Milliseconds below or at which `share` (0..1) of the values lie; None without values.

        The value of rank floor(share x (n - 1)), within 1 %.
        """
        found = self.quantiles((share,))
        return found[0] if found else None

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Several quantiles in one pass, for ascending shares; empty without values."""
        if not self.count:
            return []
        ranks = [math.floor(share * (self.count - 1)) for share in shares]
        found: list[float] = []
        seen = 0
        for bucket, number in sorted(self._counts.items()):
            seen += number
            while len(found) < len(ranks) and ranks[len(found)] < seen:
                found.append(value_of(bucket))
        return found

    def at_most(self, bounds: Iterable[float]) -> list[int]:
        """How many values are at most each of the ascending bounds, in milliseconds.

        A value counts by what stands for its bucket, so one within 1 % of a bound may be counted
        on its other side; below 50 ms every whole millisecond has a bucket of its own.
        """
        ordered = sorted(self._counts.items())
        result: list[int] = []
        seen = position = 0
        for bound in bounds:
            limit = bucket_of(math.floor(bound)) if bound < _LONGEST_MS else math.inf
            while position < len(ordered) and ordered[position][0] <= limit:
                seen += ordered[position][1]
                position += 1
            result.append(seen)
        return result

    def pack(self) -> bytes:
        """A small immutable form, for keeping."""
        size = len(self._counts)
        return struct.pack(f"<{size}h{size}I", *self._counts.keys(), *self._counts.values())

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The inverse of `pack`."""
        size = len(data) // _ENTRY_BYTES
        numbers = struct.unpack(f"<{size}h{size}I", data)
        return cls(dict(zip(numbers[:size], numbers[size:], strict=True)))
