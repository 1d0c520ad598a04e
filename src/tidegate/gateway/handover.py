"""The HAProxies before this one, while they end what they have.

A changed configuration needs a new process. It inherits the listening sockets, so that no client
finds the door shut. What waits in the old one goes on to the new one, over a socket between them,
and so does what still comes on connections that clients keep open; what pods work on ends where
it is. A pod of a limited revision gets nothing from the new process until then. The next change
may come before that, so any number may be leaving.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.haproxy.state import parse_stat
from tidegate.gateway.orphans import Orphans
from tidegate.gateway.servers import stage_server
from tidegate.kube.objects import Key

if TYPE_CHECKING:
    from tidegate.gateway.dataplane import DataPlane

logger = logging.getLogger(__name__)

# A thread of HAProxy may just have chosen a server as it went out of rotation.
_SETTLE_SECONDS = 0.01


class Predecessor:
    """One HAProxy that has handed over.

    Args:
        plane: its mirror, read back.
    """

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._busy: dict[Key, frozenset[str]] | None = None
        # What has become idle gets nothing any more, and need not be looked at again.
        self._unfinished = dict(plane.slots.assigned())
        self.is_idle = False

    @property
    def admin_socket(self) -> Path:
        """Where it takes commands."""
        return self._plane.config.admin_socket

    def slot_of(self, revision: Key) -> str | None:
        """The slot that a revision has there."""
        return self._plane.slots.of(revision)

    @property
    def plane(self) -> DataPlane:
        """Its mirror."""
        return self._plane

    async def is_serving(self) -> bool:
        """Whether clients still reach it: its agent died before it was told to hand over."""
        try:
            text = await self._plane.admin.read("show stat http 1 -1")
        except AdminError:
            return False
        return any(row.is_open for row in parse_stat(text))

    async def hand_over(self) -> None:
        """Let it send on what waits and take nothing new; its successor is listening.

        It may have been told so before.

        Raises:
            AdminError: it does not.
        """
        slots = self._plane.slots.assigned().values()
        commands = ["enable server onward/next", "shutdown frontend http"]
        if "\nfrontend door " in self._plane.config.text:
            commands.append("shutdown frontend door")
        for slot in slots:
            commands += [
                f"disable server {slot}/{name}" for name in self._plane.servers.get(slot, {})
            ]
        commands.append("move park")
        # Setting it makes HAProxy look at the queue again, which leads to the park.
        commands += [f"set maxconn server {slot}/park 1000000" for slot in slots]
        await self._plane.admin.change(commands)
        await asyncio.sleep(_SETTLE_SECONDS)

    async def keep_places(self, seconds: int, ends_within: int) -> None:
        """Let it work for so long, see `DataPlane.keep_places`; one that has ended does not."""
        if self.has_ended:
            return
        try:
            await self._plane.keep_places(seconds, ends_within)
        except AdminError as error:
            logger.debug("gateway: the HAProxy before: %s", error)

    def busy(self, revision: Key) -> frozenset[str]:
        """The pods of a revision that work for it, as last looked at; before that, all."""
        if self._busy is not None:
            return self._busy.get(revision, frozenset())
        slot = self.slot_of(revision)
        return frozenset(self._pods(slot)) if slot is not None else frozenset()

    def _pods(self, slot: str) -> set[str]:
        return {*self._plane.servers.get(slot, {}), *self._plane.stages_of(slot)}

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._plane.process.has_ended

    async def look(self, orphans: Orphans) -> None:
        """Look which pods still work for it."""
        if self.has_ended:
            if not self.is_idle:
                # It was killed: what pods do for it only the kernel knows.
                await orphans.find()
            self._busy, self.is_idle = {}, True
            return
        try:
            self._busy = await self._look()
        except AdminError as error:
            logger.debug("gateway: the HAProxy before: %s", error)

    async def _look(self) -> dict[Key, frozenset[str]]:
        slots = self._unfinished
        stages = {slot: self._plane.stages_of(slot) for slot in slots.values()}
        commands: list[str] = []
        for slot, stage_of in stages.items():
            commands.append(f"show stat {slot} 6 -1")
            commands += [f"show stat {stage} 6 -1" for stage in stage_of.values()]
        working: set[tuple[str, str]] = set()
        for row in parse_stat(await self._plane.admin.read(*commands) if commands else ""):
            if row.current + row.queued:
                working.add((row.proxy, row.server))
        proxies = {proxy for proxy, _ in working}
        self._unfinished = {
            revision: slot
            for revision, slot in slots.items()
            # A request that has gone on to the next HAProxy is still in the slot.
            if not proxies.isdisjoint((slot, *stages[slot].values()))
        }
        self.is_idle = not working
        return {
            revision: frozenset(
                pod
                for pod in self._pods(slot)
                if (slot, pod) in working
                or (stages[slot].get(pod, ""), stage_server(slot, pod)) in working
            )
            for revision, slot in slots.items()
        }

    def end(self) -> None:
        """Nothing is left for it to do but to close the connections that clients keep open."""
        self._plane.process.quit()


class Predecessors:
    """All that have handed over and still have something to do, the eldest first.

    Args:
        orphans: where the work of one that is killed is taken note of.
    """

    def __init__(self, orphans: Orphans) -> None:
        self._orphans = orphans
        self._all: list[Predecessor] = []

    def __iter__(self) -> Iterator[Predecessor]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, predecessor: Predecessor) -> None:
        """One more has handed over."""
        self._all.append(predecessor)

    def busy(self, revision: Key) -> frozenset[str]:
        """The pods of a revision that work for any of them, as last looked at."""
        return frozenset[str]().union(*(before.busy(revision) for before in self._all))

    def youngest(self) -> Predecessor | None:
        """The last of them that has not ended.

        It has the listening sockets, though it accepts nothing there: HAProxy keeps them while it
        takes commands. Who is to listen there in its stead must inherit them from it.
        """
        return next((before for before in reversed(self._all) if not before.has_ended), None)

    async def take_back(self) -> DataPlane | None:
        """The one that clients still reach, if its agent died before it had a successor."""
        for before in self._all:
            if await before.is_serving():
                self._all.remove(before)
                before.plane.process.take_back()
                return before.plane
        return None

    async def hand_over(self) -> None:
        """Have all of them hand over; an agent may have died before it had told one to."""
        for before in self._all:
            try:
                await before.hand_over()
            except AdminError as error:
                logger.warning("gateway: no handover (%s): HAProxy is ended", error)
                await before.plane.process.stop()

    async def look(self) -> None:
        """Look which pods still work for them."""
        for before in list(self._all):
            await before.look(self._orphans)

    async def keep_places(self, seconds: int, ends_within: int) -> None:
        """Let them work for so long, see `DataPlane.keep_places`."""
        for before in list(self._all):
            await before.keep_places(seconds, ends_within)

    def end_idle(self) -> bool:
        """Let those go that have nothing left; whether all are gone."""
        for before in self._all:
            if before.is_idle:
                before.end()
        self._all = [before for before in self._all if not before.is_idle]
        return not self._all
