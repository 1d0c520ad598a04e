"""The demand that gateways in other processes see, as they write it to the Leases of revisions.

It comes some tens of milliseconds later than that of the gateway beside us. A gateway that has
fallen silent may still have requests in every place that is its own, and nobody else can use
those: they count as in flight until they have been given to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tidegate.apis import gateway_leases as leases
from tidegate.apis.demand import Demand, PodLoad
from tidegate.apis.demand_hub import Mailbox
from tidegate.apis.gateway_leases import Entry
from tidegate.apis.gateway_members import Members
from tidegate.kube.controller import Context
from tidegate.kube.objects import Key, Object
from tidegate.kube.resources import LEASES

_LOOK_SECONDS = 1.0


class RemoteGateways:
    """A `DemandSource` of all gateways but some.

    Args:
        context: the autoscaler's own.
        near: those that are heard without the API.
    """

    def __init__(self, context: Context, *, near: frozenset[str]) -> None:
        self._clock = context.clock
        self._near = near
        self._members = Members(context)
        self._ledger = context.informers.of(LEASES, label_selector=leases.REVISION)
        self._mailboxes: list[Mailbox] = []
        self._members.add_handler(self._member_changed)
        self._ledger.add_handler(self._revision_changed)

    @property
    def gateways(self) -> frozenset[str]:
        """Those that have a Lease, silent ones too."""
        return self._members.names - self._near

    def snapshot(self, revision: Key) -> Demand | None:
        """What they have said last, None if no one serves the revision."""
        lease = self._ledger.get(leases.lease_of_revision(revision), revision.namespace)
        entries = leases.entries_of(lease)
        far = {name: entry for name, entry in entries.items() if name not in self._near}
        return self._demand(revision, far) if far else None

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[AsyncIterator[Demand]]:
        """Demands as they change, and as gateways fall silent."""
        mailbox = Mailbox()
        self._mailboxes.append(mailbox)
        self._tell_all()
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._notice_silence())
            try:
                yield mailbox.read()
            finally:
                looking.cancel()
                self._mailboxes.remove(mailbox)

    def _demand(self, revision: Key, entries: Mapping[str, Entry]) -> Demand:
        loads: dict[str, int] = {}
        in_flight = queued = held = 0
        for name, entry in entries.items():
            is_alive = self._members.is_alive(name)
            busy = entry.pods if is_alive else entry.places
            for pod, number in busy.items():
                loads[pod] = loads.get(pod, 0) + number
            in_flight += entry.in_flight if is_alive else sum(entry.places.values())
            queued += entry.queued if is_alive else 0
            held += entry.held if is_alive else 0
        return Demand(
            revision=revision,
            in_flight=in_flight,
            queued=queued,
            held=held,
            pods=tuple(PodLoad(name, number) for name, number in loads.items()),
            requests=sum(entry.requests for entry in entries.values()),
            time=self._clock.monotonic(),
        )

    def _member_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None:
            self._tell_all()

    def _revision_changed(self, old: Object | None, new: Object | None) -> None:
        lease = new if new is not None else old
        if lease is not None:
            self._tell(leases.revision_named(lease))

    def _tell_all(self) -> None:
        for lease in self._ledger.items():
            self._tell(leases.revision_named(lease))

    def _tell(self, revision: Key) -> None:
        demand = self.snapshot(revision) or self._demand(revision, {})
        for mailbox in self._mailboxes:
            mailbox.put(demand)

    async def _notice_silence(self) -> None:
        was_alive: frozenset[str] = frozenset()
        while True:
            alive = frozenset(filter(self._members.is_alive, self.gateways))
            if alive != was_alive:
                was_alive = alive
                self._tell_all()
            await self._clock.sleep(_LOOK_SECONDS)
