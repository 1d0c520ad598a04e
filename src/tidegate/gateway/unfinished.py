"""Keeps new requests of limited revisions from pods that still work for the last HAProxy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.model import PodServer, Revision
from tidegate.gateway.orphans import at_work
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key

logger = logging.getLogger(__name__)

_PAUSE = 0.02
_LONGEST_PAUSE = 0.2
# The longest that Knative lets a request take: who leaks connections is not spared for ever.
_LONGEST_WORK_SECONDS = 600.0


@dataclass(frozen=True)
class _Waiting:
    """A revision's pods at work for the last HAProxy, with their ports; until when they may be."""

    until: float
    pods: dict[str, int]


class Unfinished:
    """What the last HAProxy has left in pods.

    Args:
        plane: the HAProxy of now.
        clock: the time.
        turn: held by who changes HAProxy.
        servers: the pods of a revision.
        mark: has a revision looked at again.
    """

    def __init__(
        self,
        plane: DataPlane,
        clock: Clock,
        turn: asyncio.Lock,
        *,
        servers: Callable[[Key], Mapping[str, PodServer]],
        mark: Callable[[Key], None],
    ) -> None:
        self._plane = plane
        self._clock = clock
        self._turn = turn
        self._servers = servers
        self._mark = mark
        self._waiting: dict[Key, _Waiting] = {}
        self._found = asyncio.Event()

    def forget(self, key: Key) -> None:
        """The revision is served no more."""
        self._waiting.pop(key, None)

    def clear(self) -> None:
        """HAProxy has been started anew: look at everything again."""
        self._waiting.clear()

    def spare(self, revision: Revision, servers: dict[str, PodServer]) -> dict[str, PodServer]:
        """The pods of the revision, those out of rotation that have something left to end."""
        key = revision.key
        busy = self.busy(key, servers) if revision.is_limited else {}
        if not busy:
            self._waiting.pop(key, None)
            return servers
        known = self._waiting.get(key)
        # Nobody ends the work of a pod whose request is over time: it may go on for longer.
        until = self._clock.monotonic() + max(revision.start_ms / 1000, _LONGEST_WORK_SECONDS)
        if known is None:
            logger.info("gateway: %s finish what the last HAProxy gave them", ", ".join(busy))
        else:
            until = known.until
        self._waiting[key] = _Waiting(until, busy)
        self._found.set()
        return {
            name: replace(server, in_rotation=server.in_rotation and name not in busy)
            for name, server in servers.items()
        }

    def busy(self, key: Key, servers: Mapping[str, PodServer]) -> dict[str, int]:
        """The pods among these that work for the last HAProxy, and their ports."""
        busy = at_work(servers.values(), self._plane.orphans.ports)
        names = self._plane.before.busy(key)
        return busy | {name: servers[name].port for name in names if name in servers}

    async def run(self) -> None:
        """Let pods back into rotation as they end what the last HAProxy gave them."""
        pause = _PAUSE
        while True:
            await self._found.wait()
            await self._clock.sleep(pause)
            now = self._clock.monotonic()
            waiting = list(self._waiting.items())
            late = [known for _, known in waiting if known.until < now]
            excused = frozenset(port for known in late for port in known.pods.values())
            async with self._turn:
                await self._plane.orphans.look_again(excused)
                await self._plane.before.look()
            changed = [
                key for key, known in waiting if self.busy(key, self._servers(key)) != known.pods
            ]
            pause = _PAUSE if changed else min(2 * pause, _LONGEST_PAUSE)
            for key in changed:
                self._mark(key)
            if not self._waiting:
                self._found.clear()
                pause = _PAUSE
