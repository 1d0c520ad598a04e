"""The series of the charts, as columns that the chart library takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tidegate.kube.objects import Key
from tidegate.observability.store import Point, Store

_SHARES = (0.5, 0.9, 0.95, 0.99)
_CLASSES = ((2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx"), (0, "none"))


@dataclass(frozen=True)
class Range:
    """A choice of how far back the charts reach.

    Attributes:
        name: in URLs.
        label: for people.
        seconds: how far back.
        step: seconds per point.
    """

    name: str
    label: str
    seconds: int
    step: int


RANGES = (
    Range("5m", "5 minutes", 300, 2),
    Range("1h", "1 hour", 3600, 20),
    Range("6h", "6 hours", 21_600, 120),
)


def range_named(name: str) -> Range:
    """The range of that name, the first one for any other name."""
    return next((choice for choice in RANGES if choice.name == name), RANGES[0])


class Charts:
    """One page's charts: everything at first, then what is new since.

    Args:
        store: the numbers.
        choice: how far back and how fine.
    """

    def __init__(self, store: Store, choice: Range) -> None:
        self._store = store
        self._choice = choice
        self._sent = 0

    def update(self, revisions: Iterable[Key]) -> dict[str, Any] | None:
        """Columns for the chart, None when nothing is new.

        The last point may be of a step that is not over; the next update has it again.
        """
        step = self._choice.step
        end = self._store.now
        if end <= self._sent:
            return None
        start = self._sent - step if self._sent else end - self._choice.seconds
        points = self._store.series(revisions, start=start, end=end, step=step)
        is_first = not self._sent
        self._sent = end
        return {
            "reset": is_first,
            "step": step,
            "keep": self._choice.seconds // step,
            "columns": columns(points, step=step, end=end),
        }


def columns(points: list[Point], *, step: int, end: int) -> dict[str, list[Any]]:
    """Times in seconds since the epoch, rates per second, latencies in seconds, shares 0..1."""
    quantiles = [_seconds(point.latency.quantiles(_SHARES)) for point in points]
    waits = [_seconds(point.wait.quantiles((0.5, 0.95))) for point in points]
    result: dict[str, list[Any]] = {
        "time": [point.start for point in points],
        "success": [point.success for point in points],
        "in_flight": [point.gauges.in_flight for point in points],
        "queued": [point.gauges.queued for point in points],
        "held": [point.gauges.held for point in points],
        "desired": [point.gauges.desired for point in points],
        "ready": [point.gauges.ready for point in points],
        "wait50": [found[0] if found else None for found in waits],
        "wait95": [found[1] if found else None for found in waits],
    }
    for index, name in _CLASSES:
        result[name] = [
            round(point.classes[index] / max(min(step, end - point.start), 1), 3)
            for point in points
        ]
    for position, name in enumerate(("p50", "p90", "p95", "p99")):
        result[name] = [found[position] if found else None for found in quantiles]
    return result


def _seconds(milliseconds: list[float]) -> list[float]:
    return [round(value / 1000, 5) for value in milliseconds]
