"""Ends requests whose pods have not begun to answer in time.

What is overdue is decided in `overdue`; here is what asks HAProxy and tells it. HAProxy is asked
only when a request can be overdue, over connections of its own, so that no other command waits.
The stream at the client's side is ended: the client gets 504, and a pod of a limited revision
keeps the request, and its place, until it has answered or closed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator

from tidegate.apis.demand import Demand
from tidegate.apis.demand_hub import DemandHub
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.haproxy.socket import AdminError, AdminSocket
from tidegate.gateway.haproxy.state import parse_now
from tidegate.gateway.haproxy.streams import Stream, parse_progress, parse_streams
from tidegate.gateway.overdue import Watch
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key

logger = logging.getLogger(__name__)

_AT_ONCE = 50
_LONGEST_PAUSE = 3600.0
_RETRY_SECONDS = 0.2
# HAProxy stands still while it prints: a look at many streams is followed by a rest.
_REST_SECONDS_PER_BYTE = 1e-7


class TimeLimits:
    """Keeps the limits of one HAProxy's requests.

    Args:
        plane: the HAProxy.
        hub: tells which revisions have requests.
        clock: the time.
    """

    def __init__(self, plane: DataPlane, hub: DemandHub, clock: Clock) -> None:
        self._plane = plane
        self._hub = hub
        self._clock = clock
        self._admin = AdminSocket(plane.config.admin_socket)
        self._watch = Watch(clock.monotonic())
        self._slots: dict[Key, str] = {}
        self._sooner = asyncio.Event()
        self._rested = -math.inf

    async def run(self) -> None:
        """Keep them until cancelled."""
        async with self._hub.subscribe() as demands, asyncio.TaskGroup() as group:
            group.create_task(self._follow(demands))
            group.create_task(self._enforce())

    async def _follow(self, demands: AsyncIterator[Demand]) -> None:
        async for demand in demands:
            before = self._watch.next_look()
            self._take(demand)
            if self._watch.next_look() < before:
                self._sooner.set()

    def _take(self, demand: Demand) -> None:
        slot = self._plane.slots.of(demand.revision)
        if slot is None:
            self._watch.forget(self._slots.pop(demand.revision, ""))
            return
        self._slots[demand.revision] = slot
        self._watch.use(
            slot,
            self._plane.start_limit(slot),
            in_flight=demand.in_flight,
            waiting=demand.queued + demand.held,
            now=demand.time,
        )

    async def _enforce(self) -> None:
        while True:
            self._sooner.clear()
            pause = max(self._watch.next_look(), self._rested) - self._clock.monotonic()
            if pause > 0:
                await self._wait(pause)
                continue
            try:
                await self._look()
            except AdminError as error:
                logger.debug("time limits: %s", error)
                await self._clock.sleep(_RETRY_SECONDS)

    async def _wait(self, seconds: float) -> None:
        sooner = asyncio.ensure_future(self._sooner.wait())
        later = asyncio.ensure_future(self._clock.sleep(min(seconds, _LONGEST_PAUSE)))
        try:
            await asyncio.wait({sooner, later}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sooner.cancel()
            later.cancel()
            await asyncio.gather(sooner, later, return_exceptions=True)

    async def _look(self) -> None:
        asked = self._clock.monotonic()
        text = await self._admin.read("show sess")
        now = self._clock.monotonic()
        self._rested = now + _REST_SECONDS_PER_BYTE * len(text)
        self._watch.look(parse_streams(text), asked, now)
        candidates = self._watch.candidates(now)
        for start in range(0, len(candidates), _AT_ONCE):
            await self._judge(candidates[start : start + _AT_ONCE])

    async def _judge(self, candidates: list[Stream]) -> None:
        asked = self._clock.monotonic()
        details = [f"show sess {stream.id}" for stream in candidates]
        text = await self._admin.read("show park", *details)
        found = parse_progress(text, parse_now(text) or 0.0)
        commands: list[str] = []
        for stream in candidates:
            if self._watch.judge(stream, found.get(stream.id), asked):
                commands += [f"expect overdue {stream.key}", f"shutdown session {stream.id}"]
        if commands:
            await self._admin.read(*commands)
