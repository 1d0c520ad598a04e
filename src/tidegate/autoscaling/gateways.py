"""The demand that several gateways see, as one.

Each gateway reports what it has; a revision's demand is the sum. One that has requests and has
gone silent is left out after a while: what it counted then is no longer known to be true.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from tidegate.apis.demand import Demand, DemandSource, PodLoad
from tidegate.apis.demand_hub import Mailbox
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key

# A gateway with anything to report does so at least every second.
SILENT_SECONDS = 5.0
_LOOK_SECONDS = 1.0


class Gateways:
    """A `DemandSource` made of others.

    Args:
        sources: the gateways; their names are all different.
        clock: whose `monotonic` the demands' times are on.
    """

    def __init__(self, sources: Sequence[DemandSource], clock: Clock) -> None:
        self._sources = tuple(sources)
        self._clock = clock

    @property
    def gateways(self) -> frozenset[str]:
        """All of them, silent ones too: those may still send requests to pods."""
        return frozenset[str]().union(*(source.gateways for source in self._sources))

    def snapshot(self, revision: Key) -> Demand | None:
        """The sum of what the gateways know, None if none of them serves the revision."""
        found = [source.snapshot(revision) for source in self._sources]
        return total((demand for demand in found if demand is not None), self._clock.monotonic())

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[AsyncIterator[Demand]]:
        """The sums as they change, and as gateways fall silent."""
        mailbox = Mailbox()
        heard: list[dict[Key, float]] = [{} for _ in self._sources]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._follow(source, times, mailbox))
                for source, times in zip(self._sources, heard, strict=True)
            ]
            tasks.append(group.create_task(self._notice_silence(heard, mailbox)))
            try:
                yield mailbox.read()
            finally:
                for task in tasks:
                    task.cancel()

    async def _follow(
        self, source: DemandSource, heard: dict[Key, float], mailbox: Mailbox
    ) -> None:
        async with source.subscribe() as demands:
            async for demand in demands:
                if _is_nothing(demand):
                    heard.pop(demand.revision, None)
                else:
                    heard[demand.revision] = demand.time
                self._tell(demand.revision, mailbox, last=demand)

    async def _notice_silence(self, heard: list[dict[Key, float]], mailbox: Mailbox) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            oldest = self._clock.monotonic() - SILENT_SECONDS
            for times in heard:
                for revision in [key for key, at in times.items() if at < oldest]:
                    del times[revision]
                    self._tell(revision, mailbox)

    def _tell(self, revision: Key, mailbox: Mailbox, *, last: Demand | None = None) -> None:
        # Of a revision that no gateway serves any more, the last that one said is the truth.
        demand = self.snapshot(revision) or last
        if demand is not None:
            mailbox.put(demand)


def total(demands: Iterable[Demand], now: float) -> Demand | None:
    """The sum of one revision's demands, None of none.

    Silent gateways count for the requests that they have had only.

    Args:
        demands: of different gateways.
        now: on the clock of their times.
    """
    known = list(demands)
    if not known:
        return None
    fresh = [item for item in known if item.time >= now - SILENT_SECONDS or _is_nothing(item)]
    loads: dict[str, PodLoad] = {}
    for load in (load for item in fresh for load in item.pods):
        other = loads.get(load.name, PodLoad(load.name, 0))
        loads[load.name] = PodLoad(
            load.name,
            load.in_flight + other.in_flight,
            max(load.sessions_until, other.sessions_until),
        )
    return Demand(
        revision=known[0].revision,
        in_flight=sum(item.in_flight for item in fresh),
        queued=sum(item.queued for item in fresh),
        held=sum(item.held for item in fresh),
        pods=tuple(loads.values()),
        requests=sum(item.requests for item in known),
        time=max(item.time for item in known),
    )


def _is_nothing(demand: Demand) -> bool:
    return not demand.total and not demand.pods
