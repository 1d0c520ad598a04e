"""Where connections to the ports of pods come from."""

from __future__ import annotations

import asyncio
from typing import Protocol


class PortSource(Protocol):
    """Where the ports of pods are: the node."""

    async def connect(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a container port. Raises ApiError and OSError."""
        ...
