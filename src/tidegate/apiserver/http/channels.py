"""The channels of exec and attach in one WebSocket.

Every message begins with a byte that says its channel. Version 4 of the protocol is what client
libraries speak; version 5, kubectl's, can also close the channel of standard input.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import orjson

from tidegate.kube.errors import ApiError
from tidegate.kube.objects import Object
from tidegate.kube.waiting import beside

if TYPE_CHECKING:
    from tidegate.apiserver.http.websockets import WebSocket

STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
SUCCESS: Object = {"metadata": {}, "status": "Success"}
_MAX_SIDE = 0xFFFF


class Input(Protocol):
    """What takes what a client sends."""

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none."""
        ...

    async def close_input(self) -> None:
        """Tell it that no more input comes."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size."""
        ...


Sink = TypeVar("Sink", bound=Input)


async def converse(
    socket: WebSocket,
    opening: AbstractAsyncContextManager[Sink],
    relay: Callable[[Sink], Awaitable[Object]],
) -> None:
    """Connect a client with a program until the program has ended, and say how that was.

    Args:
        opening: the program, for as long as the context is open.
        relay: sends what it writes, and gives the status that is sent last.
    """
    try:
        async with opening as program:
            # An empty message says that it has begun.
            await send(socket, STDOUT, b"")
            async with beside(_feed(socket, program)):
                status = await relay(program)
    except ApiError as error:
        status = error.status()
    await send(socket, STATUS, orjson.dumps(status))
    await socket.close()


async def send(socket: WebSocket, channel: int, data: bytes) -> None:
    """Send what belongs to a channel."""
    await socket.send(bytes((channel,)) + data)


async def _feed(socket: WebSocket, sink: Input) -> None:
    """Pass on what comes in the channels until the client goes."""
    while (message := await socket.receive()) is not None:
        channel, data = message[:1], message[1:]
        if channel == bytes((STDIN,)):
            await sink.write(data)
        elif channel == bytes((CLOSE,)) and data == bytes((STDIN,)):
            await sink.close_input()
        elif channel == bytes((RESIZE,)):
            size = _size(data)
            if size:
                sink.resize(*size)


def _size(data: bytes) -> tuple[int, int] | None:
    """Columns and rows, None for what is no size."""
    try:
        value: Any = json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    sides = cast("dict[str, Any]", value)
    columns, rows = sides.get("Width"), sides.get("Height")
    if not isinstance(columns, int) or not isinstance(rows, int):
        return None
    return (columns, rows) if 0 < columns <= _MAX_SIDE and 0 < rows <= _MAX_SIDE else None
