"""Events of pods, written behind the back of the work they speak of: none waits for them."""

from __future__ import annotations

import asyncio
import logging

from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import Object

logger = logging.getLogger(__name__)

_WAITING_LIMIT = 2000


class Events:
    """A bounded queue before an EventRecorder; what does not fit is lost, as events may be."""

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder
        self._queue: asyncio.Queue[tuple[bool, Object, str, str]] = asyncio.Queue(_WAITING_LIMIT)

    def normal(self, obj: Object, reason: str, message: str) -> None:
        """Something went as it should."""
        self._put(False, obj, reason, message)

    def warning(self, obj: Object, reason: str, message: str) -> None:
        """Something the user should look at."""
        self._put(True, obj, reason, message)

    async def run(self) -> None:
        """Write them until cancelled."""
        while True:
            is_warning, obj, reason, message = await self._queue.get()
            write = self._recorder.warning if is_warning else self._recorder.normal
            await write(obj, reason, message)

    def _put(self, is_warning: bool, obj: Object, reason: str, message: str) -> None:
        try:
            self._queue.put_nowait((is_warning, obj, reason, message))
        except asyncio.QueueFull:
            logger.debug("event %s lost: too many at once", reason)
