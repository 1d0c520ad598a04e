"""The latest demand of each revision, and those who want to hear of it: a `DemandSource`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tidegate.apis.demand import Demand
from tidegate.kube.objects import Key


class DemandHub:
    """What one gateway has said.

    Args:
        gateway: its name.
    """

    def __init__(self, gateway: str) -> None:
        self._gateways = frozenset((gateway,))
        self._latest: dict[Key, Demand] = {}
        self._subscribers: list[Mailbox] = []

    @property
    def gateways(self) -> frozenset[str]:
        """The one gateway."""
        return self._gateways

    def snapshot(self, revision: Key) -> Demand | None:
        """The latest known demand, None for a revision the gateway does not serve."""
        return self._latest.get(revision)

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[AsyncIterator[Demand]]:
        """Demands as they change; a slow reader gets only the latest of each revision."""
        mailbox = Mailbox()
        for demand in self._latest.values():
            mailbox.put(demand)
        self._subscribers.append(mailbox)
        try:
            yield mailbox.read()
        finally:
            self._subscribers.remove(mailbox)

    def publish(self, demand: Demand) -> None:
        """Make `demand` the latest of its revision."""
        self._latest[demand.revision] = demand
        for mailbox in self._subscribers:
            mailbox.put(demand)

    def forget(self, revision: Key) -> None:
        """The gateway serves the revision no more; readers hear that nobody asks for it."""
        last = self._latest.pop(revision, None)
        if last is not None and last.total:
            nobody = replace(last, in_flight=0, queued=0, held=0, pods=())
            for mailbox in self._subscribers:
                mailbox.put(nobody)


class Mailbox:
    """Bounded by the number of revisions: a newer demand takes the place of an older one."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Demand] = {}
        self._filled = asyncio.Event()

    def put(self, demand: Demand) -> None:
        """Have it read, unless a newer one of its revision comes first."""
        self._waiting[demand.revision] = demand
        self._filled.set()

    async def read(self) -> AsyncIterator[Demand]:
        """What has been put, as it comes."""
        while True:
            await self._filled.wait()
            while self._waiting:
                yield self._waiting.pop(next(iter(self._waiting)))
            self._filled.clear()
