"""Access records: one line per answered request, streamed by HAProxy, counted per revision.

Lines arrive in large chunks (each line led by its length) and are taken apart in one go. Whoever
wants more than the counts subscribes to the batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tidegate.kube.objects import Key

logger = logging.getLogger(__name__)

_CHUNK = 1 << 18
_LONGEST_LINE = 1 << 16
_FIELDS = 8
_NO_POD = frozenset(("<NOSRV>", "again", "park", "-"))


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One request. Times in milliseconds, -1 where the phase was not reached.

    Attributes:
        revision: None when no route matched.
        pod: empty when the request reached none.
        status: of the answer, -1 when there was none.
        termination: HAProxy's two letters: who ended it, and in which phase.
        queued_ms: from arrival to the pod, being held included.
        service_ms: from the pod's getting it to the answer's head.
        total_ms: until the last byte.
        cold_start: seconds it was held for want of any pod, 0 if it was not.
        held_since: when that began, seconds since the epoch, 0 if it was not held.
    """

    revision: Key | None
    pod: str
    status: int
    termination: str
    queued_ms: int
    service_ms: int
    total_ms: int
    cold_start: float
    held_since: float = 0.0


@dataclass
class RevisionRecords:
    """What is known of one revision's answered requests.

    Attributes:
        by_class: counts by first digit of the status; 0 for those without an answer.
        abandoned: those whose client left.
        cold_starts: those that were held for want of a pod.
    """

    requests: int = 0
    by_class: dict[int, int] = field(default_factory=dict[int, int])
    abandoned: int = 0
    cold_starts: int = 0

    def add(self, record: AccessRecord) -> None:
        self.requests += 1
        status_class = max(record.status, 0) // 100
        self.by_class[status_class] = self.by_class.get(status_class, 0) + 1
        self.abandoned += record.termination.startswith("C")
        self.cold_starts += record.cold_start > 0


Batch = list[AccessRecord]


class AccessRecords:
    """Counts per revision, and the batches for subscribers.

    A subscriber is called on the loop with each batch and must be quick.

    Args:
        lateness: seconds by which HAProxy's time of day is behind.
    """

    def __init__(self, lateness: Callable[[], float] = lambda: 0.0) -> None:
        self._lateness = lateness
        self._revisions: dict[Key, RevisionRecords] = {}
        self._subscribers: list[Callable[[Batch], None]] = []

    def of(self, revision: Key) -> RevisionRecords:
        """The counts of a revision, all zero when nothing is known."""
        return self._revisions.get(revision) or RevisionRecords()

    def subscribe(self, subscriber: Callable[[Batch], None]) -> Callable[[], None]:
        """Call `subscriber` with every batch; returns what ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def forget(self, revision: Key) -> None:
        """The revision is gone."""
        self._revisions.pop(revision, None)

    def take(self, batch: Batch) -> None:
        """Count a batch and hand it on."""
        for record in batch:
            if record.revision is not None:
                known = self._revisions.get(record.revision)
                if known is None:
                    known = self._revisions[record.revision] = RevisionRecords()
                known.add(record)
        for subscriber in self._subscribers:
            try:
                subscriber(batch)
            except Exception:
                logger.exception("a subscriber of access records failed")

    def _timed(self, record: AccessRecord) -> AccessRecord:
        if not record.held_since:
            return record
        return replace(record, held_since=record.held_since + self._lateness())

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Read one connection of HAProxy's until it ends."""
        pending = b""
        try:
            while chunk := await reader.read(_CHUNK):
                lines, pending = split_frames(pending + chunk)
                batch = [
                    self._timed(record) for line in lines if (record := parse(line)) is not None
                ]
                if batch:
                    self.take(batch)
        except ValueError as error:
            logger.warning("access records: %s; the connection is closed", error)


def split_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole lines at the front of octet-counted data (RFC 6587), and the rest.

    Raises:
        ValueError: what stands where a length should be is none.
    """
    lines: list[bytes] = []
    start = 0
    while True:
        space = data.find(b" ", start, start + 8)
        if space < 0:
            if len(data) - start > 8:
                raise ValueError(f"no length at {data[start : start + 16]!r}")
            return lines, data[start:]
        if not data[start:space].isdigit():
            raise ValueError(f"no length at {data[start : start + 16]!r}")
        length = int(data[start:space])
        if length > _LONGEST_LINE:
            raise ValueError(f"a line of {length} bytes")
        end = space + 1 + length
        if end > len(data):
            return lines, data[start:]
        lines.append(data[space + 1 : end])
        start = end


def parse(line: bytes) -> AccessRecord | None:
    """One line of HAProxy's `log-format`, None for any other message."""
    fields = line.decode(errors="replace").rstrip("\n").split(" ")
    if len(fields) != _FIELDS:
        return None
    return _record(fields)


def _record(fields: list[str]) -> AccessRecord | None:
    # The revision's entry in HAProxy's map begins with backend, namespace and name.
    entry = fields[0].split("/", 3)
    try:
        pod, queued_ms, cold, since = _destination(fields)
        return AccessRecord(
            revision=Key(entry[1], entry[2]) if len(entry) > 2 else None,
            pod=pod,
            status=int(fields[2]),
            termination=fields[3],
            queued_ms=queued_ms,
            service_ms=int(fields[5]),
            total_ms=int(fields[6]),
            cold_start=float(cold or 0),
            held_since=float(since or 0),
        )
    except ValueError:
        return None


def _destination(fields: list[str]) -> tuple[str, int, str, str]:
    """Pod, milliseconds queued, seconds held and since when; the park says it of what was there."""
    server, parked = fields[1], fields[7]
    if parked != "-":
        pod, queued_ms, cold, since = parked.split("|")
        return pod, int(queued_ms or -1), cold, since
    if server in _NO_POD:
        return "", int(fields[4]), "", ""
    return server, int(fields[4]), "", ""
