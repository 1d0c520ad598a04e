"""Port-forward as libraries speak it: one connection per port, in channels of a WebSocket.

Channel 2n carries the data of the n-th port asked for, channel 2n + 1 what went wrong with it; the
first message of each says its port. A connection cannot be half closed: when the pod's side of all
has ended, the WebSocket ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Sequence

from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.portsource import (
    MAX_WAITING,
    READ_SIZE,
    PortSource,
    empty,
    failure,
    is_port,
)
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.kube.errors import ApiError, BadRequest
from tidegate.kube.waiting import beside, together

PROTOCOL = "v4.channel.k8s.io"
_MAX_PORTS = 64


def ports_asked(exchange: Exchange) -> list[int]:
    """The ports of the query `ports`, which may be repeated and may be a list.

    Raises:
        BadRequest: there is none, one is no port, or there are too many.
    """
    values = [part for text in exchange.query_values("ports") for part in text.split(",")]
    if not values:
        raise BadRequest('query parameter "ports" is required')
    for value in values:
        if not is_port(value):
            raise BadRequest(f"unable to parse {value!r} as a port")
    if len(values) > _MAX_PORTS:
        raise BadRequest(f"at most {_MAX_PORTS} ports can be forwarded over one connection")
    return [int(value) for value in values]


class PortChannels:
    """The connections of one WebSocket."""

    def __init__(
        self, socket: WebSocket, source: PortSource, target: ResourcePath, ports: Sequence[int]
    ) -> None:
        self._socket = socket
        self._source = source
        self._target = target
        self._ports = ports
        self._inputs = [asyncio.Queue[bytes](MAX_WAITING) for _ in ports]
        self._ended = [False for _ in ports]

    async def run(self) -> None:
        """Serve until all connections have ended."""
        async with beside(self._dispatch()):
            await together(*(self._serve(n, port) for n, port in enumerate(self._ports)))
        await self._socket.close()

    async def _dispatch(self) -> None:
        while (message := await self._socket.receive()) is not None:
            number, kind = divmod(message[0], 2) if message else (len(self._ports), 0)
            if number < len(self._ports) and kind == 0 and not self._ended[number]:
                await self._inputs[number].put(message[1:])

    async def _serve(self, number: int, port: int) -> None:
        data, error = bytes((2 * number,)), bytes((2 * number + 1,))
        for channel in (data, error):
            await self._socket.send(channel + struct.pack("<H", port))
        try:
            await self._forward(number, port, data)
        except (ApiError, OSError) as problem:
            await self._socket.send(error + failure(port, self._target.name, problem).encode())
        finally:
            self._ended[number] = True
            empty(self._inputs[number])

    async def _forward(self, number: int, port: int, channel: bytes) -> None:
        target = self._target
        reader, writer = await self._source.connect(target.namespace, target.name, port)
        with contextlib.closing(writer):
            async with beside(self._feed(number, writer)):
                while data := await reader.read(READ_SIZE):
                    await self._socket.send(channel + data)

    async def _feed(self, number: int, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await self._inputs[number].get())
            await writer.drain()
