"""An object as the store keeps it and an event as watchers get it: parsed, and as bytes to send."""

from __future__ import annotations

from tidegate.kube.client import EventType
from tidegate.kube.objects import Object


class Stored:
    """One immutable version of one object.

    Attributes:
        object: the parsed object; shared, never changed.
        raw: the same as JSON, ready to send.
        version: its resourceVersion as a number; 0 for an object that is not stored (dry run).
    """

    __slots__ = ("object", "raw", "version")

    def __init__(self, obj: Object, raw: bytes, version: int) -> None:
        self.object = obj
        self.raw = raw
        self.version = version


class Event:
    """One change of one object.

    Attributes:
        type: ADDED, MODIFIED, DELETED or BOOKMARK.
        stored: the new state; for DELETED the last one, at the version of the deletion.
        previous: the state before, None for ADDED.
    """

    __slots__ = ("_line", "previous", "stored", "type")

    def __init__(self, event_type: EventType, stored: Stored, previous: Stored | None) -> None:
        self.type = event_type
        self.stored = stored
        self.previous = previous
        self._line: bytes | None = None

    @property
    def version(self) -> int:
        return self.stored.version

    def line(self) -> bytes:
        """The event as one line of a watch response, made once for all watchers."""
        if self._line is None:
            self._line = b'{"type":"%s","object":%s}\n' % (self.type.encode(), self.stored.raw)
        return self._line
