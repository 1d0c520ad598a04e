"""`pods/<name>/exec`: a command in a container, its streams in the channels of one WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

from tidegate.apiserver.api import Api
from tidegate.apiserver.http.channels import STDERR, STDOUT, SUCCESS, Input, converse, send
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.pods import attached, channel_socket, container_named, pod_on_node
from tidegate.apiserver.http.query import flag
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object
from tidegate.kube.waiting import together


class Command(Input, Protocol):
    """A command that runs in a container."""

    async def read(self, stream: int) -> bytes:
        """Some output of stream 1 or 2, as it comes; empty at its end."""
        ...

    async def wait(self) -> int:
        """Its exit code; 128 + signal for one that was killed."""
        ...


class Attached(Input, Protocol):
    """The streams of a container's own program."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes until it ends: stream 1 or 2, and some of its output."""
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

    def attach(
        self, namespace: str, pod: str, container: str, *, stdin: bool
    ) -> AbstractAsyncContextManager[Attached]:
        """The streams of the container's own program. Raises ApiError if it does not run."""
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
        await self._streams.hold(converse(socket, running, partial(_relay, socket)), socket.read())


async def _relay(socket: WebSocket, command: Command) -> Object:
    await together(*(_copy(socket, command, stream) for stream in (STDOUT, STDERR)))
    return _status(await command.wait())


async def _copy(socket: WebSocket, command: Command, stream: int) -> None:
    while data := await command.read(stream):
        await send(socket, stream, data)


def _status(code: int) -> Object:
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
