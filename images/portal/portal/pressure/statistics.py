"""Figures of a run: percentiles of the latencies and the throughput."""

from __future__ import annotations

import math
from collections.abc import Sequence

PERCENTILES = (50, 90, 95, 99)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of ascending values (no interpolation: a value that occurred).

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("a percentile of no values")
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """P50, P90, P95 and P99 of the values, each None when there are none."""
    ordered = sorted(values)
    return {
        f"p{percent}": percentile(ordered, percent) if ordered else None for percent in PERCENTILES
    }


def throughput(completed: int, seconds: float) -> float:
    """Completed requests per second."""
    return completed / seconds if seconds > 0 else 0.0
