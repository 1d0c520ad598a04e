"""Observability put together: what the composition builds and runs, and the console reads."""

from __future__ import annotations

import asyncio

from tidegate.kube.controller import Context
from tidegate.observability.cold_starts import ColdStarts
from tidegate.observability.exposition import RevisionNumbers, render
from tidegate.observability.scales import Scales
from tidegate.observability.sources import LoadSource, RequestSource
from tidegate.observability.store import Store

__all__ = ["Observability", "build"]


class Observability:
    """Listens to its sources while it runs.

    Attributes:
        store: the last hours of every revision.
        cold_starts: what requests that were held waited for.
    """

    def __init__(self, context: Context, *, requests: RequestSource, loads: LoadSource) -> None:
        self.store = Store(context.clock)
        self._scales = Scales(context.informers, self.store)
        self.cold_starts = ColdStarts(context)
        self._requests = requests
        self._loads = loads

    async def run(self) -> None:
        """Take what comes until cancelled."""
        subscriptions = [
            self._requests.subscribe(take) for take in (self.store.take, self.cold_starts.take)
        ]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.store.run())
                group.create_task(self.cold_starts.run())
                group.create_task(self._follow_loads())
        finally:
            for unsubscribe in subscriptions:
                unsubscribe()

    async def metrics(self) -> bytes:
        """The text of a Prometheus scrape (`exposition.CONTENT_TYPE`)."""
        revisions = [
            RevisionNumbers(self._scales.labels(key), totals, gauges, self.cold_starts.timings(key))
            for key, (totals, gauges) in self.store.totals().items()
        ]
        return await asyncio.to_thread(render, revisions, unrouted=self.store.unrouted)

    async def _follow_loads(self) -> None:
        async with self._loads.subscribe() as loads:
            async for load in loads:
                self.store.take_load(load)


def build(context: Context, *, requests: RequestSource, loads: LoadSource) -> Observability:
    """Observability on the console's context; the composition runs its informers.

    Args:
        requests: the gateway's access records.
        loads: the gateway's demand.
    """
    return Observability(context, requests=requests, loads=loads)
