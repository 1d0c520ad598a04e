"""Where connections to the ports of pods come from, and what every way to them has in common."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

READ_SIZE = 32 * 1024
# Messages that may wait for a pod before they hold up the other connections of their client.
MAX_WAITING = 64


class PortSource(Protocol):
    """Where the ports of pods are: the node."""

    async def connect(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a container port. Raises ApiError and OSError."""
        ...


def is_port(text: str) -> bool:
    """Whether a text is the number of a port."""
    return text.isdecimal() and 0 < int(text) < 65536


def failure(port: int, pod: str, problem: Exception) -> str:
    """What a client is told whose connection failed."""
    return f"error forwarding port {port} to pod {pod}: {problem}"


def empty(waiting: asyncio.Queue[Any]) -> None:
    """Throw away what waits, so that whoever waits for room there goes on."""
    while not waiting.empty():
        waiting.get_nowait()
