"""Which requests have waited too long for the first byte of their answer: pure bookkeeping.

HAProxy counts the time by itself for requests that it has as a whole, up to the usual limit. For
the others it is kept here, from looks at HAProxy's streams. The next look is due when one that the
last did not show could be overdue.

The limit counts from the dispatch to the pod. Where nothing was queued or held, that is when the
stream began. Elsewhere it is taken to be the last moment at which it can have been. So no request
is ended early.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.gateway.haproxy.streams import Progress, Stream

# A request may have been queued for so long without having been counted there.
_UNSEEN_SECONDS = 0.05
# After so long, the ages that HAProxy tells in whole seconds tell a request from the next one.
_KNOWN_SECONDS = 3.0


@dataclass
class _Slot:
    """A revision's part of HAProxy. Times are in seconds on one steady clock.

    Attributes:
        limit: seconds for the first byte, 0 for none.
        queued_until: until when requests may have been queued or held, infinite while some are.
        known_until: none of its streams that have not been listed is older.
        is_busy: it has requests.
    """

    limit: float
    queued_until: float
    known_until: float = -math.inf
    is_busy: bool = False

    @property
    def is_queueing(self) -> bool:
        return self.queued_until == math.inf

    @property
    def next_look(self) -> float:
        """While requests go from the queue to pods, looks must tell when."""
        pace = max(0.25, 0.05 * self.limit) / 2 if self.is_queueing else self.limit
        return self.known_until + pace if self.is_busy and self.limit else math.inf


@dataclass
class _Track:
    """A request that a pod has.

    Attributes:
        stream: as first seen.
        limit: seconds for the first byte.
        since: its time began then, or later if it began later itself; infinite for one that has
            its answer.
        listed: when it was first seen.
    """

    stream: Stream
    limit: float
    since: float
    listed: float

    @property
    def due(self) -> float:
        return self.since + self.limit

    def is_of(self, stream: Stream, asked: float) -> bool:
        """Whether a stream with the same id is the same, at the same pod."""
        first = self.stream
        return (
            first.source == stream.source
            and first.server == stream.server
            and first.retries == stream.retries
            and asked - stream.age - 1 <= self.listed
        )


@dataclass
class Watch:
    """What is known of one HAProxy's requests.

    Args:
        start: the time; of queues before it nothing is known.
    """

    start: float
    _slots: dict[str, _Slot] = field(default_factory=dict[str, _Slot])
    _tracks: dict[str, _Track] = field(default_factory=dict[str, _Track])

    def use(self, slot: str, limit: float, *, in_flight: int, waiting: int, now: float) -> None:
        """Take note of a slot's requests.

        Args:
            slot: its name.
            limit: seconds for the first byte, 0 for none.
            in_flight: requests that pods have.
            waiting: requests that are queued or held.
            now: when they were counted.
        """
        known = self._slots.setdefault(slot, _Slot(limit, self.start))
        known.limit = limit
        known.is_busy = bool(in_flight or waiting)
        if not known.is_busy:
            known.known_until = now
        if waiting:
            known.queued_until = math.inf
        elif known.is_queueing:
            known.queued_until = now

    def forget(self, slot: str) -> None:
        """The slot belongs to nobody."""
        self._slots.pop(slot, None)

    def next_look(self) -> float:
        """When to look again, infinite while nothing can be overdue."""
        slots = min((slot.next_look for slot in self._slots.values()), default=math.inf)
        return min(slots, min((track.due for track in self._tracks.values()), default=math.inf))

    def look(self, streams: Iterable[Stream], asked: float, answered: float) -> None:
        """Take note of all streams, listed between `asked` and `answered`."""
        tracks: dict[str, _Track] = {}
        for stream in streams:
            slot = self._slots.get(stream.proxy)
            if slot is None or not slot.limit or not stream.is_with_pod:
                continue
            known = self._tracks.get(stream.id)
            if known is None or not known.is_of(stream, asked):
                known = _begin(stream, slot, asked, answered)
            tracks[stream.id] = known
        self._tracks = tracks
        for slot in self._slots.values():
            slot.known_until = max(slot.known_until, asked)

    def candidates(self, now: float) -> list[Stream]:
        """Requests that may be overdue."""
        return [track.stream for track in self._tracks.values() if track.due <= now]

    def judge(self, stream: Stream, progress: Progress | None, now: float) -> bool:
        """Whether a candidate is overdue; if so, it is to be ended now.

        Args:
            stream: the candidate.
            progress: how far it is, None if it has ended.
            now: when that was so.
        """
        track = self._tracks[stream.id]
        if progress is None or progress.is_answered or not progress.is_sent:
            # The time of a pod that has not got the whole request has not begun. Another request
            # may come to bear the id of one that has ended, and is known by its age later.
            is_over = progress is not None and progress.is_answered
            track.since = math.inf if is_over and now - track.listed > _KNOWN_SECONDS else now
            return False
        track.since = max(track.since, now - progress.age + _UNSEEN_SECONDS)
        is_overdue = track.due <= now
        if is_overdue:
            track.since = now
        return is_overdue


def _begin(stream: Stream, slot: _Slot, asked: float, answered: float) -> _Track:
    """A request seen at a pod for the first time."""
    since = max(slot.queued_until, slot.known_until, asked - stream.age - 1)
    if stream.retries or slot.is_queueing:
        since = answered
    return _Track(stream, slot.limit, since, answered)
