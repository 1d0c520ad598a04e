"""`pods/<name>/exec`: a command in a container, its streams in the channels of one WebSocket.

Every message begins with a byte that says its channel. Version 4 of the protocol is what client
libraries speak; version 5, kubectl's, can also close the channel of standard input.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

import orjson

from tidegate.apiserver.api import Api
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.pods import attached, channel_socket, container_named, pod_on_node
from tidegate.apiserver.http.query import flag
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.errors import ApiError, BadRequest
from tidegate.kube.objects import Object

_STDIN, _STDOUT, _STDERR, _STATUS, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_MAX_SIDE = 0xFFFF


class Command(Protocol):
    """A command that runs in a container."""

    async def read(self, stream: int) -> bytes:
        """Some output of stream 1 or 2, as it comes; empty at its end."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none."""
        ...

    async def close_input(self) -> None:
        """Tell it that no more input comes."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size."""
        ...

    async def wait(self) -> int:
        """Its exit code; 128 + signal for one that was killed."""
        ...


class CommandSource(Protocol):
    """Where commands run: the node."""

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool,
        tty: bool,
    ) -> AbstractAsyncContextManager[Command]:
        """Run a command for as long as the context is open. Raises ApiError if it cannot start."""
        ...


class PodCommands:
    """Serves exec."""

    def __init__(self, api: Api, streams: Streams) -> None:
        self._api = api
        self._streams = streams
        self.source: CommandSource | None = None

    async def handle(
        self,
        exchange: Exchange,
        context: RequestContext,
        spec: KindSpec,
        target: ResourcePath,
        verb: str,
    ) -> None:
        pod = pod_on_node(self._api, context, spec, target, verb)
        container = container_named(pod, exchange.query.get("container", ""))
        command = exchange.query_values("command")
        if not command:
            raise BadRequest("you must specify at least one command for the container")
        tty, stdin = flag(exchange.query, "tty"), flag(exchange.query, "stdin")
        socket, protocol = channel_socket("exec", exchange.socket)
        source = attached(self.source)
        self._streams.check_room()
        running = source.run(
            target.namespace, target.name, container, command, stdin=stdin, tty=tty
        )
        exchange.code = 101
        await socket.accept(protocol)
        await self._streams.hold(_converse(socket, running), socket.read())


async def _converse(socket: WebSocket, running: AbstractAsyncContextManager[Command]) -> None:
    try:
        async with running as command:
            # An empty message says that it has begun.
            await socket.send(bytes((_STDOUT,)))
            status = await _relay(socket, command)
    except ApiError as error:
        status = error.status()
    await socket.send(bytes((_STATUS,)) + orjson.dumps(status))
    await socket.close()


async def _relay(socket: WebSocket, command: Command) -> Object:
    feeding = asyncio.create_task(_feed(socket, command))
    try:
        await asyncio.gather(*(_copy(socket, command, stream) for stream in (_STDOUT, _STDERR)))
        return _status(await command.wait())
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _copy(socket: WebSocket, command: Command, stream: int) -> None:
    while data := await command.read(stream):
        await socket.send(bytes((stream,)) + data)


async def _feed(socket: WebSocket, command: Command) -> None:
    while (message := await socket.receive()) is not None:
        channel, data = message[:1], message[1:]
        if channel == bytes((_STDIN,)):
            await command.write(data)
        elif channel == bytes((_CLOSE,)) and data == bytes((_STDIN,)):
            await command.close_input()
        elif channel == bytes((_RESIZE,)):
            size = _size(data)
            if size:
                command.resize(*size)


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


def _status(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
