"""Demand per revision: who asks for it, and how often it is measured.

HAProxy's park and its full slots say at once that somebody waits; the slots concerned are then
measured every few milliseconds until nobody waits. Slots with pods are measured about every
second, more often while they work; slots with neither cost nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.apis.demand import Demand, PodLoad
from tidegate.apis.demand_hub import DemandHub
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.haproxy.state import Row, parse_now, parse_park, parse_stat
from tidegate.gateway.servers import stage_server
from tidegate.gateway.sessions import Sessions
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key
from tidegate.kube.waiting import within

logger = logging.getLogger(__name__)

_HOT_SECONDS = 0.01
_WARM_SECONDS = 0.04
_BUSY_SECONDS = 0.2
_CALM_SECONDS = 1.0
_AT_ONCE = 32
_CLOCK_SECONDS = 60.0


@dataclass
class _Watched:
    """When a slot is due, and what it last had."""

    due: float
    published: float = 0.0
    last: Demand | None = None
    pause: float = _HOT_SECONDS


@dataclass(frozen=True)
class _Clock:
    """By how many seconds HAProxy's time is late, as read at `time`, give or take `error`."""

    lateness: float
    error: float
    time: float


@dataclass
class _Counter:
    """A slot's requests: HAProxy counts from zero when it has been restarted."""

    counted: int = 0
    before: int = 0

    def total(self, requests: int) -> int:
        """Requests in all, of which HAProxy has counted `requests`."""
        if requests < self.counted:
            self.before += self.counted
        self.counted = requests
        return self.before + requests


class Sampler:
    """Measures slots when they are due.

    Args:
        plane: the HAProxy to ask.
        hub: where demands go.
        sessions: which pods have sessions.
        clock: the time.
    """

    def __init__(self, plane: DataPlane, hub: DemandHub, sessions: Sessions, clock: Clock) -> None:
        self._plane = plane
        self._sessions = sessions
        self._hub = hub
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._limits: dict[str, int] = {}
        self._counters: dict[str, _Counter] = {}
        self._noticed = asyncio.Event()
        self._late = _Clock(0.0, math.inf, 0.0)

    @property
    def lateness(self) -> float:
        """Seconds by which HAProxy's time of day is behind."""
        return self._late.lateness

    def watch(self, slot: str, limit: int) -> None:
        """Measure this slot from now on; `limit` is its containerConcurrency."""
        self._limits[slot] = limit
        self.notice((slot,))

    def unwatch(self, slot: str, revision: Key) -> None:
        """The slot is free."""
        self._limits.pop(slot, None)
        self._watched.pop(slot, None)
        self._counters.pop(slot, None)
        self._hub.forget(revision)

    def notice(self, slots: Iterable[str]) -> None:
        """Somebody waits at these slots, or their pods have changed: measure them now."""
        for slot in slots:
            if slot in self._limits:
                self._watched.setdefault(slot, _Watched(0.0)).due = 0.0
        self._noticed.set()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self._noticed.clear()
            now = self._clock.monotonic()
            due = [slot for slot, watched in self._watched.items() if watched.due <= now]
            for start in range(0, len(due), _AT_ONCE):
                # A few at a time, so that the one thread there is stays responsive.
                await self._measure(due[start : start + _AT_ONCE])
            await self._wait()

    async def _wait(self) -> None:
        if not self._watched:
            await self._noticed.wait()
            return
        due = min(watched.due for watched in self._watched.values())
        await within(due - self._clock.monotonic(), self._noticed.wait(), clock=self._clock)

    async def _measure(self, slots: list[str]) -> None:
        slots = [slot for slot in slots if slot in self._watched]
        stages = {slot: self._plane.stages_of(slot) for slot in slots}
        commands = ["show park"]
        asked = self._clock.time()
        for slot in slots:
            # Who is noticed from now on may be missing in the answer.
            self._watched[slot].due = math.inf
            commands.append(f"show stat {slot} 6 -1")
            commands += [f"show stat {stage} 6 -1" for stage in stages[slot].values()]
        try:
            text = await self._plane.admin.read(*commands)
        except AdminError as error:
            logger.debug("demand not measured: %s", error)
            for slot in slots:
                self._postpone(slot, _BUSY_SECONDS)
            return
        self._set_clock(text, asked)
        held = parse_park(text)
        rows: dict[str, list[Row]] = {}
        for row in parse_stat(text):
            rows.setdefault(row.proxy, []).append(row)
        now = self._clock.monotonic()
        for slot in slots:
            revision = self._plane.slots.revision_of(slot)
            watched = self._watched.get(slot)
            if revision is None:
                self._postpone(slot, _BUSY_SECONDS)
            elif watched is not None:
                demand = _demand(revision, slot, rows, stages[slot], held.get(slot, 0), now)
                requests = self._counters.setdefault(slot, _Counter()).total(demand.requests)
                demand = replace(demand, requests=requests)
                self._take(slot, watched, self._with_sessions(demand))
                if not _is_settled(rows.get(slot, ())):
                    self._postpone(slot, _HOT_SECONDS)

    def _postpone(self, slot: str, seconds: float) -> None:
        """Measure a slot again in so many seconds, unless it is due sooner anyway."""
        watched = self._watched.get(slot)
        if watched is not None:
            watched.due = min(watched.due, self._clock.monotonic() + seconds)

    def _with_sessions(self, demand: Demand) -> Demand:
        until = self._sessions.until(demand.revision, [load.name for load in demand.pods])
        if not until:
            return demand
        pods = [replace(load, sessions_until=until.get(load.name, 0.0)) for load in demand.pods]
        return replace(demand, pods=tuple(pods))

    def _set_clock(self, text: str, asked: float) -> None:
        """HAProxy's time stands still while it starts: it is late by that for ever."""
        now, answered = parse_now(text), self._clock.time()
        if now is None:
            return
        reading = _Clock((asked + answered) / 2 - now, answered - asked, answered)
        if reading.error <= self._late.error or answered - self._late.time > _CLOCK_SECONDS:
            self._late = reading

    def _take(self, slot: str, watched: _Watched, demand: Demand) -> None:
        last, now = watched.last, demand.time
        is_new = last is None or replace(last, time=now) != demand
        if is_new or now - watched.published >= _CALM_SECONDS:
            self._hub.publish(demand)
            watched.published = now
        watched.last = demand
        if demand.queued or demand.held or self._is_full(slot, demand):
            # Pods that start need the processor more than a queue that does not change.
            watched.pause = _HOT_SECONDS if is_new else min(2 * watched.pause, _WARM_SECONDS)
            self._postpone(slot, watched.pause)
        elif last is not None and last.total and not demand.total:
            # One that leaves the park for a pod is in neither: is it over, or under way?
            self._postpone(slot, _HOT_SECONDS)
        elif demand.in_flight or (last is not None and demand.requests != last.requests):
            self._postpone(slot, _BUSY_SECONDS)
        elif demand.pods or watched.due < math.inf:
            self._postpone(slot, _CALM_SECONDS)
        else:
            del self._watched[slot]

    def _is_full(self, slot: str, demand: Demand) -> bool:
        limit = self._limits.get(slot, 0)
        return limit > 0 and demand.in_flight > 0 and demand.in_flight >= limit * len(demand.pods)


def _is_settled(rows: Sequence[Row]) -> bool:
    """Whether each request of a slot has a server or waits in a queue.

    One that has just come may get no place, though those who saw it come saw one that was free.
    """
    known = sum(row.current for row in rows if row.server != "BACKEND")
    whole = next((row for row in rows if row.server == "BACKEND"), None)
    return whole is None or whole.current <= known + sum(row.queued for row in rows)


def _demand(
    revision: Key,
    slot: str,
    rows: dict[str, list[Row]],
    stages: Mapping[str, str],
    held: int,
    now: float,
) -> Demand:
    """Put a slot's rows together; a pod with a stage counts by it, for it sees orphans too."""
    queued = requests = in_flight = 0
    loads: list[PodLoad] = []
    for row in rows.get(slot, ()):
        if row.server == "BACKEND":
            requests += row.total
            queued += row.queued
        elif row.server == "park":
            requests -= row.total
        else:
            queued += row.queued
            load = row.current
            stage = stages.get(row.server)
            if stage is not None:
                load = 0
                for behind in rows.get(stage, ()):
                    queued += behind.queued
                    if behind.server == stage_server(slot, row.server):
                        load += behind.current
            loads.append(PodLoad(row.server, load))
            in_flight += load
    return Demand(revision, in_flight, queued, held, tuple(loads), max(requests, 0), now)
