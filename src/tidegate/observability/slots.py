"""One revision's numbers over a stretch of time: while it lasts, and when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.observability.histogram import Histogram

CLASSES = 6


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is so at one instant.

    Attributes:
        in_flight: requests that pods are working on.
        queued: requests that wait for a slot of a pod.
        held: requests that wait because there is no pod.
        desired: pods that should be.
        ready: pods that take requests.
    """

    in_flight: int = 0
    queued: int = 0
    held: int = 0
    desired: int = 0
    ready: int = 0

    @property
    def is_zero(self) -> bool:
        return not (self.in_flight or self.queued or self.held or self.desired or self.ready)

    def highest(self, other: Gauges) -> Gauges:
        """Of each number the larger."""
        return Gauges(
            max(self.in_flight, other.in_flight),
            max(self.queued, other.queued),
            max(self.held, other.held),
            max(self.desired, other.desired),
            max(self.ready, other.ready),
        )

    def plus(self, other: Gauges) -> Gauges:
        """The sum of each number."""
        return Gauges(
            self.in_flight + other.in_flight,
            self.queued + other.queued,
            self.held + other.held,
            self.desired + other.desired,
            self.ready + other.ready,
        )


ZERO = Gauges()


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time that is over.

    Attributes:
        start: its first second, since the epoch.
        classes: requests by the first digit of the status, at 0 those without an answer.
        latency, wait: packed histograms of the whole time and of the time before a pod.
        cold_starts: requests that were held for want of a pod.
        peak: the highest of each gauge.
    """

    start: int
    classes: tuple[int, ...]
    latency: bytes
    wait: bytes
    cold_starts: int
    peak: Gauges


@dataclass(slots=True)
class OpenSlot:
    """A stretch of time in which requests still arrive; attributes as of `Slot`."""

    start: int
    peak: Gauges
    classes: list[int] = field(default_factory=lambda: [0] * CLASSES)
    latency: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)
    cold_starts: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep of it."""
        return self.peak.is_zero and not any(self.classes)

    def raise_peak(self, gauges: Gauges) -> None:
        self.peak = self.peak.highest(gauges)

    def merge(self, other: OpenSlot) -> None:
        """Add what `other`, a part of this stretch, has seen."""
        for index, number in enumerate(other.classes):
            self.classes[index] += number
        self.latency.merge(other.latency)
        self.wait.merge(other.wait)
        self.cold_starts += other.cold_starts
        self.raise_peak(other.peak)

    def close(self) -> Slot:
        return Slot(
            self.start,
            tuple(self.classes),
            self.latency.pack(),
            self.wait.pack(),
            self.cold_starts,
            self.peak,
        )

    @classmethod
    def reopen(cls, slot: Slot) -> OpenSlot:
        """A copy of a closed slot that can be merged."""
        return cls(
            slot.start,
            slot.peak,
            list(slot.classes),
            Histogram.unpack(slot.latency),
            Histogram.unpack(slot.wait),
            slot.cold_starts,
        )


def merged(slots: Iterable[OpenSlot | Slot], start: int) -> OpenSlot:
    """All of them as one that begins at `start`."""
    result = OpenSlot(start, ZERO)
    for slot in slots:
        result.merge(OpenSlot.reopen(slot) if isinstance(slot, Slot) else slot)
    return result
