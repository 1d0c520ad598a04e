"""What a page is told: everything when it connects, then what changed, merged while it is busy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from portal.pods import PodSnapshot, PodWatch
from portal.pressure.runner import PressureTest
from portal.pressure.signal import Signal
from portal.pressure.state import Run

# Not more than ten messages a second to a page; in silence a comment keeps proxies from closing.
SHORTEST_PAUSE = 0.1
KEEPALIVE = 15.0


class Cursor:
    """How much of the state one page has been told."""

    def __init__(self) -> None:
        self._run_id: str | None = None
        self._version = -1
        self._sample = -1
        self._pods: PodSnapshot | None = None

    def message(self, test: PressureTest, pods: PodSnapshot) -> dict[str, Any]:
        """The state that the page does not know yet, as one object."""
        message: dict[str, Any] = {}
        if pods != self._pods:
            message["pods"] = pods.as_json()
            self._pods = pods
        if test.run is not None:
            message["run"] = test.run.summary(test.elapsed())
            self._add_changes(message, test.run)
        return message

    def _add_changes(self, message: dict[str, Any], run: Run) -> None:
        if run.id != self._run_id:
            self._run_id, self._version, self._sample = run.id, -1, -1
        message["shots"] = [asdict(shot) for shot in run.changed_since(self._version)]
        message["samples"] = [
            (sample.at, sample.in_flight, sample.ready, sample.starting)
            for sample in run.samples
            if sample.number > self._sample
        ]
        self._version = run.version
        self._sample = run.samples[-1].number if run.samples else -1


async def events(test: PressureTest, watch: PodWatch, changed: Signal) -> AsyncIterator[bytes]:
    """A stream of server-sent events; ends when the signal is closed or the reader leaves."""
    cursor = Cursor()
    with watch.wanted():
        while not changed.closed:
            change = changed.next()
            message = cursor.message(test, watch.snapshot)
            yield b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"
            await asyncio.sleep(SHORTEST_PAUSE)
            while not await _within(change, KEEPALIVE):
                yield b": still here\n\n"


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
