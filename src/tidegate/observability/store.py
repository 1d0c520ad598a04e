"""The last hours of every revision in memory: by the second for minutes, by ten seconds for hours.

Seconds in which nothing was and nothing happened take no room. When many revisions are busy at
once, the history of each is shorter, so that the whole stays within its bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key
from tidegate.observability.histogram import Histogram
from tidegate.observability.slots import CLASSES, ZERO, Gauges, OpenSlot, Slot, merged
from tidegate.observability.sources import Load, Request
from tidegate.observability.track import COARSE_SECONDS, Totals, Track

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much is kept.

    Attributes:
        fine: slots of one second per revision.
        coarse: slots of ten seconds per revision.
        all_fine, all_coarse: the same over all revisions; a slot takes up to a kilobyte.
        revisions: revisions of which anything is kept.
    """

    fine: int = 600
    coarse: int = 2160
    all_fine: int = 12_000
    all_coarse: int = 24_000
    revisions: int = 10_000


@dataclass(slots=True)
class Point:
    """A stretch of time of one revision, or of several together.

    Attributes:
        start: its first second, since the epoch.
        classes: requests by the first digit of the status, at 0 those without an answer.
        latency, wait: the whole time of requests, and the time before they went to a pod.
        cold_starts: requests that were held for want of a pod.
        gauges: the highest of each, summed over revisions.
    """

    start: int
    classes: list[int] = field(default_factory=lambda: [0] * CLASSES)
    latency: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)
    cold_starts: int = 0
    gauges: Gauges = ZERO

    @property
    def requests(self) -> int:
        return sum(self.classes)

    @property
    def success(self) -> float | None:
        """The share, 0..1, of requests answered without a server's error; None without any."""
        total = self.requests
        return (total - self.classes[5] - self.classes[0]) / total if total else None

    def add(self, slot: OpenSlot) -> None:
        for index, number in enumerate(slot.classes):
            self.classes[index] += number
        self.latency.merge(slot.latency)
        self.wait.merge(slot.wait)
        self.cold_starts += slot.cold_starts
        self.gauges = self.gauges.plus(slot.peak)


class Store:
    """Takes requests, loads and scales; gives series. All methods run on the event loop."""

    def __init__(self, clock: Clock, limits: Limits | None = None) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._tracks: dict[Key, Track] = {}
        self._busy: set[Key] = set()
        self._wake = asyncio.Event()
        # Time of day that never goes back, whatever is done to the machine's clock.
        self._epoch = clock.time() - clock.monotonic()
        self.unrouted = 0

    @property
    def now(self) -> int:
        """The current second, since the epoch."""
        return int(self._epoch + self._clock.monotonic())

    def take(self, batch: Sequence[Request]) -> None:
        """Count answered requests."""
        now = self.now
        for request in batch:
            revision = request.revision
            if revision is None:
                self.unrouted += 1
            else:
                self._track(revision).add(request, now)

    def take_load(self, load: Load) -> None:
        """The load of a revision is now this."""
        track = self._tracks.get(load.revision)
        known = track.gauges if track is not None else ZERO
        gauges = replace(known, in_flight=load.in_flight, queued=load.queued, held=load.held)
        self._set(load.revision, gauges)

    def take_scale(self, revision: Key, *, desired: int, ready: int) -> None:
        """The revision should have and has these pods."""
        track = self._tracks.get(revision)
        known = track.gauges if track is not None else ZERO
        self._set(revision, replace(known, desired=desired, ready=ready))
        self._tracks[revision].is_gone = False

    def forget(self, revision: Key) -> None:
        """The revision is gone; its past stays for a while."""
        track = self._tracks.get(revision)
        if track is None:
            return
        if revision not in self._busy:
            # It has no past, and no tick would come to drop it.
            del self._tracks[revision]
            return
        track.set_gauges(ZERO, self.now)
        track.is_gone = True

    def gauges(self, revision: Key) -> Gauges:
        """As they are now."""
        track = self._tracks.get(revision)
        return track.gauges if track is not None else ZERO

    def totals(self) -> dict[Key, tuple[Totals, Gauges]]:
        """Copies of the counters of all revisions that exist, and their gauges."""
        return {
            key: (track.totals(), track.gauges)
            for key, track in self._tracks.items()
            if not track.is_gone
        }

    def series(self, revisions: Iterable[Key], *, start: int, end: int, step: int) -> list[Point]:
        """Points of `step` seconds from `start` until before `end`, revisions taken together.

        Steps begin at multiples of `step`. A step of ten seconds or more reaches back for hours, a
        shorter one for minutes.
        """
        first = start - start % step
        points = [Point(begin) for begin in range(first, end, step)]
        for revision in revisions:
            track = self._tracks.get(revision)
            if track is None:
                continue
            slots = track.fine_slots(first) if step < COARSE_SECONDS else track.coarse_slots(first)
            groups: dict[int, list[OpenSlot | Slot]] = {}
            for slot in slots:
                groups.setdefault((slot.start - first) // step, []).append(slot)
            for index, group in groups.items():
                if 0 <= index < len(points):
                    points[index].add(merged(group, points[index].start))
        return points

    def recent(self, revisions: Iterable[Key], *, seconds: int) -> Point:
        """The last `seconds` or up to ten less, from `start` until now, as one point."""
        start = self.now - seconds
        start += -start % COARSE_SECONDS
        point = Point(start)
        for revision in revisions:
            track = self._tracks.get(revision)
            if track is not None:
                point.add(merged(track.coarse_slots(start), start))
        return point

    async def run(self) -> None:
        """Keep the slots in step with time until cancelled; sleeps while nothing is going on."""
        while True:
            if not self._busy:
                self._wake.clear()
                await self._wake.wait()
            self.tick()
            now = self._epoch + self._clock.monotonic()
            await self._clock.sleep(1.0 - now % 1.0)

    def tick(self) -> None:
        """Close the slots that are over."""
        now = self.now
        limits = self._limits
        holders = max(len(self._busy), 1)
        fine = min(limits.fine, limits.all_fine // holders)
        coarse = min(limits.coarse, limits.all_coarse // holders)
        for key in list(self._busy):
            track = self._tracks[key]
            track.roll(now)
            track.trim(fine=fine, coarse=coarse, now=now)
            if track.is_quiet and not track.slots:
                self._busy.discard(key)
                if track.is_gone:
                    del self._tracks[key]

    def _set(self, revision: Key, gauges: Gauges) -> None:
        track = self._tracks.get(revision)
        if track is None or track.gauges != gauges:
            self._track(revision).set_gauges(gauges, self.now)

    def _track(self, revision: Key) -> Track:
        track = self._tracks.get(revision)
        if track is None:
            self._make_room()
            track = self._tracks[revision] = Track()
        if revision not in self._busy:
            self._busy.add(revision)
            self._wake.set()
        return track

    def _make_room(self) -> None:
        if len(self._tracks) < self._limits.revisions:
            return
        idle = (key for key in self._tracks if key not in self._busy)
        victim = next(idle, None) or next(iter(self._tracks))
        logger.warning("numbers of %s are dropped: too many revisions", victim)
        del self._tracks[victim]
        self._busy.discard(victim)
