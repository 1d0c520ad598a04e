"""All that is kept of one revision: its counters since the start, and its last hours in slots."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.observability.histogram import Histogram
from tidegate.observability.slots import CLASSES, ZERO, Gauges, OpenSlot, Slot
from tidegate.observability.sources import Request

FINE_SECONDS = 1
COARSE_SECONDS = 10
_REFUSALS = (429, 503)


@dataclass(slots=True)
class Timing:
    """A histogram of times with their sum, in milliseconds."""

    histogram: Histogram = field(default_factory=Histogram)
    total_ms: int = 0

    def copy(self) -> Timing:
        copy = Histogram()
        copy.merge(self.histogram)
        return Timing(copy, self.total_ms)


@dataclass(slots=True)
class Totals:
    """Counters since the start, as Prometheus wants them.

    Attributes:
        by_code: requests by status, -1 for those without an answer.
        latency: the whole time of each request.
        wait: the time before it went to a pod.
        cold_starts: how long requests were held for want of a pod.
        abandoned: requests whose client left before the end.
        rejected: requests that were refused without reaching a pod.
    """

    by_code: dict[int, int] = field(default_factory=dict[int, int])
    latency: Timing = field(default_factory=Timing)
    wait: Timing = field(default_factory=Timing)
    cold_starts: Timing = field(default_factory=Timing)
    abandoned: int = 0
    rejected: int = 0

    def copy(self) -> Totals:
        return Totals(
            dict(self.by_code),
            self.latency.copy(),
            self.wait.copy(),
            self.cold_starts.copy(),
            self.abandoned,
            self.rejected,
        )


class Track:
    """One revision. The caller says what time it is; time never goes back.

    Attributes:
        gauges: as they are now.
        is_gone: the revision has been deleted; only its past is of interest.
    """

    def __init__(self) -> None:
        self.gauges = ZERO
        self.is_gone = False
        self._totals = Totals()
        self._fine: deque[Slot] = deque()
        self._coarse: deque[Slot] = deque()
        self._open_fine: OpenSlot | None = None
        self._open_coarse: OpenSlot | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether no slot is open, so that time need not be told."""
        return self._open_fine is None and self._open_coarse is None and self.gauges.is_zero

    @property
    def slots(self) -> int:
        return len(self._fine) + len(self._coarse)

    def add(self, request: Request, now: int) -> None:
        """Count an answered request."""
        slot = self._slot_at(now)
        totals = self._totals
        status = request.status
        totals.by_code[status] = totals.by_code.get(status, 0) + 1
        status_class = status // 100
        slot.classes[status_class if 0 < status_class < CLASSES else 0] += 1
        slot.latency.add(request.total_ms)
        totals.latency.total_ms += max(request.total_ms, 0)
        if request.queued_ms >= 0:
            slot.wait.add(request.queued_ms)
            totals.wait.total_ms += request.queued_ms
        if request.cold_start > 0:
            slot.cold_starts += 1
            milliseconds = round(request.cold_start * 1000)
            totals.cold_starts.histogram.add(milliseconds)
            totals.cold_starts.total_ms += milliseconds
        if request.termination.startswith("C"):
            totals.abandoned += 1
        elif not request.pod and status in _REFUSALS:
            totals.rejected += 1

    def set_gauges(self, gauges: Gauges, now: int) -> None:
        """The gauges have changed."""
        self._slot_at(now).raise_peak(gauges)
        self.gauges = gauges

    def roll(self, now: int) -> None:
        """Close what is over at second `now`, and begin anew where there is something to keep."""
        if self._open_fine is not None and self._open_fine.start < now:
            self._close_fine(self._open_fine)
            self._open_fine = None
        if self._open_coarse is not None and self._open_coarse.start + COARSE_SECONDS <= now:
            if not self._open_coarse.is_empty:
                self._coarse.append(self._open_coarse.close())
            self._open_coarse = None
        if self._open_fine is None and not self.gauges.is_zero:
            self._open_fine = OpenSlot(now, self.gauges)

    def trim(self, *, fine: int, coarse: int, now: int) -> None:
        """Drop the oldest slots above these numbers, and those too old for them."""
        _trim(self._fine, fine, now - fine * FINE_SECONDS)
        _trim(self._coarse, coarse, now - coarse * COARSE_SECONDS)

    def totals(self) -> Totals:
        """A copy of the counters."""
        copy = self._totals.copy()
        if self._open_fine is not None:
            copy.latency.histogram.merge(self._open_fine.latency)
            copy.wait.histogram.merge(self._open_fine.wait)
        return copy

    def fine_slots(self, start: int) -> Iterator[OpenSlot | Slot]:
        """The slots of a second each, from `start` on."""
        yield from _since(self._fine, start)
        if self._open_fine is not None:
            yield self._open_fine

    def coarse_slots(self, start: int) -> Iterator[OpenSlot | Slot]:
        """The slots of ten seconds each, from `start` on, with what is not yet in one."""
        yield from _since(self._coarse, start)
        if self._open_coarse is not None:
            yield self._open_coarse
        if self._open_fine is not None:
            yield self._open_fine

    def _slot_at(self, now: int) -> OpenSlot:
        slot = self._open_fine
        if slot is None or slot.start < now:
            self.roll(now)
            slot = self._open_fine
            if slot is None:
                slot = self._open_fine = OpenSlot(now, self.gauges)
        return slot

    def _close_fine(self, slot: OpenSlot) -> None:
        if slot.is_empty:
            return
        self._fine.append(slot.close())
        self._totals.latency.histogram.merge(slot.latency)
        self._totals.wait.histogram.merge(slot.wait)
        start = slot.start - slot.start % COARSE_SECONDS
        coarse = self._open_coarse
        if coarse is not None and coarse.start != start:
            self._coarse.append(coarse.close())
            coarse = None
        if coarse is None:
            coarse = self._open_coarse = OpenSlot(start, ZERO)
        coarse.merge(slot)


def _since(slots: deque[Slot], start: int) -> list[Slot]:
    found: list[Slot] = []
    for slot in reversed(slots):
        if slot.start < start:
            break
        found.append(slot)
    found.reverse()
    return found


def _trim(slots: deque[Slot], most: int, oldest: int) -> None:
    while slots and (len(slots) > most or slots[0].start < oldest):
        slots.popleft()
