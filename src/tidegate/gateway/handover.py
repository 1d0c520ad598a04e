"""The HAProxy before this one, while it ends what it has.

A changed configuration needs a new process. It inherits the listening sockets, so that no client
finds the door shut. What waits in the old one goes on to the new one, over a socket between them,
and so does what still comes on connections that clients keep open; what pods work on ends where
it is. A pod of a limited revision gets nothing from the new process until then.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.haproxy.state import parse_stat
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
        self.is_idle = False

    @property
    def admin_socket(self) -> Path:
        """Where it takes commands."""
        return self._plane.config.admin_socket

    def slot_of(self, revision: Key) -> str | None:
        """The slot that a revision has there."""
        return self._plane.slots.of(revision)

    async def hand_over(self) -> None:
        """Let it send on what waits and take nothing new; its successor is listening.

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
        """The pods of a revision that work for it, as last looked at."""
        return (self._busy or {}).get(revision, frozenset())

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._plane.process.has_ended

    async def look(self) -> None:
        """Look which pods still work for it."""
        if self.has_ended:
            self._busy, self.is_idle = {}, True
            return
        try:
            self._busy = await self._look()
        except AdminError as error:
            logger.debug("gateway: the HAProxy before: %s", error)

    async def _look(self) -> dict[Key, frozenset[str]]:
        # What has become idle gets nothing any more, and need not be looked at again.
        assigned = {
            revision: slot
            for revision, slot in self._plane.slots.assigned().items()
            if self._busy is None or self._busy.get(revision)
        }
        stages = {slot: self._plane.stages_of(slot) for slot in assigned.values()}
        commands: list[str] = []
        for slot, stage_of in stages.items():
            commands.append(f"show stat {slot} 6 -1")
            commands += [f"show stat {stage} 6 -1" for stage in stage_of.values()]
        working: set[tuple[str, str]] = set()
        for row in parse_stat(await self._plane.admin.read(*commands) if commands else ""):
            if row.current + row.queued:
                working.add((row.proxy, row.server))
        self.is_idle = not working
        found: dict[Key, frozenset[str]] = {}
        for revision, slot in assigned.items():
            pods = {*self._plane.servers.get(slot, {}), *stages[slot]}
            found[revision] = frozenset(
                pod
                for pod in pods
                if (slot, pod) in working
                or (stages[slot].get(pod, ""), stage_server(slot, pod)) in working
            )
        return found

    def end(self) -> None:
        """Nothing is left for it to do but to close the connections that clients keep open."""
        self._plane.process.quit()
