"""What pods still work on for a HAProxy that has ended, seen from their sockets.

A HAProxy that was killed takes its counts along, but the requests it had given to pods are still
being worked on there. The kernel knows of them: the dead end's socket is closed, the pod's is in
CLOSE_WAIT until the pod has answered or closed. Only pods on this machine can be seen so.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path

from tidegate.gateway.model import PodServer

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
# Columns and states as in the kernel's Documentation/networking/proc_net_tcp.rst.
_LOCAL, _STATE = 1, 3
_CLOSE_WAIT = "08"


class Orphans:
    """Pods that work for a HAProxy that has ended, by their ports: none gets a request from ours.

    Attributes:
        ports: as last looked at.
    """

    def __init__(self) -> None:
        self.ports: frozenset[int] = frozenset()

    async def find(self, in_use: frozenset[int] = frozenset()) -> None:
        """Look for pods that are not known yet.

        Args:
            in_use: ports of pods that the running HAProxy gives requests to. Somebody has looked
                before it began to, and what their sockets show now is no orphan's work.
        """
        found = await asyncio.to_thread(orphaned_ports)
        self.ports |= found - in_use

    async def look_again(self, excused: frozenset[int]) -> None:
        """Look which of the known ones have ended their work.

        Args:
            excused: ports that do not matter any more.
        """
        known = self.ports
        found = await asyncio.to_thread(orphaned_ports)
        # What has been found meanwhile stays.
        self.ports -= (known - found) | excused


def orphaned_ports() -> frozenset[int]:
    """Ports on this machine with connections whose other end has gone; blocks for a moment."""
    found: set[int] = set()
    for name in _TABLES:
        try:
            text = Path(name).read_text()
        except OSError:
            continue
        found.update(parse_table(text))
    return frozenset(found)


def parse_table(text: str) -> Iterator[int]:
    """The local ports of connections in CLOSE_WAIT, of one of the kernel's tables."""
    for line in text.splitlines()[1:]:
        fields = line.split(None, _STATE + 1)
        if len(fields) > _STATE and fields[_STATE] == _CLOSE_WAIT:
            yield int(fields[_LOCAL].rpartition(":")[2], 16)


def at_work(servers: Iterable[PodServer], ports: frozenset[int]) -> dict[str, int]:
    """The pods among these that have such a connection, and their ports."""
    return {
        server.pod: server.port
        for server in servers
        if server.port in ports and ipaddress.ip_address(server.address).is_loopback
    }
