"""Ends requests whose pods have not begun to answer in time, where HAProxy cannot count it.

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
from pathlib import Path

from tidegate.apis.demand import Demand
from tidegate.apis.demand_hub import DemandHub
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.haproxy.socket import AdminError, AdminSocket
from tidegate.gateway.haproxy.state import parse_now
from tidegate.gateway.haproxy.streams import Stream, has_watched, parse_progress, parse_streams
from tidegate.gateway.overdue import Watch
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key
from tidegate.kube.waiting import within

logger = logging.getLogger(__name__)

_AT_ONCE = 50
_LONGEST_PAUSE = 3600.0
_RETRY_SECONDS = 0.2
# HAProxy stands still while it prints: a look at many streams is followed by a rest.
_REST_SECONDS_PER_BYTE = 1e-7


class _Keeper:
    """Keeps the limits of one HAProxy's requests; `path` is of its admin socket."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.watch = Watch(clock.monotonic())
        self._admin = AdminSocket(path)
        self._clock = clock
        self._rested = -math.inf

    @property
    def next_look(self) -> float:
        return max(self.watch.next_look(), self._rested)

    async def look(self) -> None:
        """Look at its requests, and end those that are overdue."""
        try:
            asked = self._clock.monotonic()
            text = ""
            if has_watched(await self._admin.read("show stat -1 1 -1")):
                text = await self._admin.read("show sess")
            now = self._clock.monotonic()
            self._rested = now + _REST_SECONDS_PER_BYTE * len(text)
            self.watch.look(parse_streams(text), asked, now)
            candidates = self.watch.candidates(now)
            for start in range(0, len(candidates), _AT_ONCE):
                await self._judge(candidates[start : start + _AT_ONCE])
        except AdminError as error:
            logger.debug("time limits: %s", error)
            self._rested = self._clock.monotonic() + _RETRY_SECONDS

    async def _judge(self, candidates: list[Stream]) -> None:
        asked = self._clock.monotonic()
        details = [f"show sess {stream.id}" for stream in candidates]
        text = await self._admin.read("show park", *details)
        found = parse_progress(text, parse_now(text) or 0.0)
        commands: list[str] = []
        for stream in candidates:
            if self.watch.judge(stream, found.get(stream.id), asked):
                commands += [f"expect overdue {stream.proxy}", f"shutdown session {stream.id}"]
        if commands:
            await self._admin.read(*commands)


class TimeLimits:
    """Keeps the limits of the requests of the gateway's HAProxy, and of those before it.

    Args:
        plane: the HAProxy.
        hub: tells which revisions have requests.
        clock: the time.
    """

    def __init__(self, plane: DataPlane, hub: DemandHub, clock: Clock) -> None:
        self._plane = plane
        self._hub = hub
        self._clock = clock
        self._keeper = _Keeper(plane.config.admin_socket, clock)
        self._before: dict[Path, _Keeper] = {}
        self._slots: dict[Key, str] = {}
        self._sooner = asyncio.Event()

    async def run(self) -> None:
        """Keep them until cancelled."""
        async with self._hub.subscribe() as demands, asyncio.TaskGroup() as group:
            group.create_task(self._follow(demands))
            group.create_task(self._enforce())

    async def _follow(self, demands: AsyncIterator[Demand]) -> None:
        async for demand in demands:
            planned = self._next().next_look
            self._take(demand)
            self._take_before(demand)
            if self._next().next_look < planned:
                self._sooner.set()

    def _take(self, demand: Demand) -> None:
        slot = self._plane.slots.of(demand.revision)
        if slot is None:
            self._keeper.watch.forget(self._slots.pop(demand.revision, ""))
            return
        self._slots[demand.revision] = slot
        self._keeper.watch.use(
            slot,
            self._plane.start_limit(slot),
            in_flight=demand.in_flight,
            waiting=demand.queued + demand.held,
            now=demand.time,
        )

    def _take_before(self, demand: Demand) -> None:
        """HAProxies before may have any number of requests, but none of them waits."""
        slot, keepers = self._plane.slots.of(demand.revision), self._before
        self._before = {}
        for before in self._plane.before:
            path = before.admin_socket
            keeper = self._before[path] = keepers.get(path) or _Keeper(path, self._clock)
            slot_before = before.slot_of(demand.revision)
            if slot is not None and slot_before is not None:
                limit = self._plane.start_limit(slot)
                keeper.watch.use(slot_before, limit, in_flight=1, waiting=0, now=demand.time)

    def _next(self) -> _Keeper:
        """The HAProxy to be looked at next."""
        return min((self._keeper, *self._before.values()), key=lambda keeper: keeper.next_look)

    async def _enforce(self) -> None:
        while True:
            self._sooner.clear()
            keeper = self._next()
            pause = keeper.next_look - self._clock.monotonic()
            if pause > 0:
                pause = min(pause, _LONGEST_PAUSE)
                await within(pause, self._sooner.wait(), clock=self._clock)
            else:
                await keeper.look()
