"""`pods/<name>/portforward`: connections to a pod's ports, as kubectl and libraries make them.

kubectl speaks SPDY inside the WebSocket; libraries speak channels, see `portchannels`. For every
connection kubectl opens two streams of one request id: first one for an error, then one for data.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.apiserver.api import Api
from tidegate.apiserver.http import spdy
from tidegate.apiserver.http.exchange import ClientGoneError, Exchange
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.pods import attached, pod_on_node
from tidegate.apiserver.http.portchannels import PROTOCOL, PortChannels, ports_asked
from tidegate.apiserver.http.portsource import (
    MAX_WAITING,
    READ_SIZE,
    PortSource,
    empty,
    failure,
    is_port,
)
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.errors import ApiError, BadRequest
from tidegate.kube.waiting import beside

logger = logging.getLogger(__name__)

_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_MAX_CONNECTIONS = 256


class PodPorts:
    """Serves port-forward."""

    def __init__(self, api: Api, streams: Streams) -> None:
        self._api = api
        self._streams = streams
        self.source: PortSource | None = None

    async def handle(
        self,
        exchange: Exchange,
        context: RequestContext,
        spec: KindSpec,
        target: ResourcePath,
        verb: str,
    ) -> None:
        pod_on_node(self._api, context, spec, target, verb)
        socket = exchange.socket
        offered = socket.offered if socket is not None else ()
        protocol = next((name for name in (_PROTOCOL, PROTOCOL) if name in offered), "")
        if socket is None or not protocol:
            raise BadRequest(
                f"port-forward is served over WebSockets that speak {_PROTOCOL} or {PROTOCOL}"
            )
        source = attached(self.source)
        if protocol == _PROTOCOL:
            work = _Tunnel(socket, source, target)
        else:
            work = PortChannels(socket, source, target, ports_asked(exchange))
        self._streams.check_room()
        exchange.code = 101
        await socket.accept(protocol)
        await self._streams.hold(work.run(), socket.read())


@dataclass(eq=False)
class _Connection:
    """One connection to the pod; what is to go there waits in `input`, None is its end."""

    data: int
    error: int
    input: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue[bytes | None](MAX_WAITING)
    )
    task: asyncio.Task[None] | None = None


class _Tunnel:
    """All connections of one client."""

    def __init__(self, socket: WebSocket, source: PortSource, target: ResourcePath) -> None:
        self._socket = socket
        self._source = source
        self._target = target
        self._encoder = spdy.Encoder()
        self._errors: dict[str, int] = {}
        self._connections: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Serve until the client goes."""
        decoder = spdy.Decoder()
        try:
            while (message := await self._socket.receive()) is not None:
                for frame in decoder.feed(message):
                    await self._on(frame)
        except spdy.ProtocolError as error:
            logger.info("port-forward to pod %s ends: it got %s", self._target.name, error)
        finally:
            tasks = [item.task for item in self._connections.values() if item.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._socket.close()

    async def _on(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.Opened():
                await self._open(frame.stream, frame.headers)
            case spdy.Data():
                connection = self._connections.get(frame.stream)
                if connection and frame.data:
                    await connection.input.put(frame.data)
                if connection and frame.last:
                    await connection.input.put(None)
            case spdy.Reset():
                self._reset(frame.stream)
            case spdy.Ping():
                await self._socket.send(spdy.pong(frame.number))
            case spdy.GoAway():
                pass

    async def _open(self, stream: int, headers: Mapping[str, str]) -> None:
        request, port = headers.get("requestid", ""), headers.get("port", "")
        kind = headers.get("streamtype")
        crowded = max(len(self._connections), len(self._errors)) >= _MAX_CONNECTIONS
        if crowded or not is_port(port) or stream in self._connections:
            await self._socket.send(spdy.refusal(stream))
        elif kind == "error":
            self._errors[request] = stream
            await self._socket.send(self._encoder.reply(stream))
        elif kind == "data" and request in self._errors:
            self._begin(_Connection(stream, self._errors.pop(request)), int(port))
            await self._socket.send(self._encoder.reply(stream))
        else:
            await self._socket.send(spdy.refusal(stream))

    def _begin(self, connection: _Connection, port: int) -> None:
        connection.task = asyncio.create_task(self._serve(connection, port))
        # A task that is cancelled before it has begun would not tidy up by itself.
        connection.task.add_done_callback(lambda _: self._forget(connection))
        self._connections[connection.data] = connection

    def _forget(self, connection: _Connection) -> None:
        self._connections.pop(connection.data, None)
        empty(connection.input)

    def _reset(self, stream: int) -> None:
        connection = self._connections.get(stream)
        if connection and connection.task:
            connection.task.cancel()
        self._errors = {
            request: error for request, error in self._errors.items() if error != stream
        }

    async def _serve(self, connection: _Connection, port: int) -> None:
        problem = ""
        with contextlib.suppress(ClientGoneError):
            try:
                await self._forward(connection, port)
            except (ApiError, OSError) as error:
                problem = failure(port, self._target.name, error)
            await self._socket.send(spdy.data_frame(connection.data, b"", last=True))
            await self._socket.send(spdy.data_frame(connection.error, problem.encode(), last=True))

    async def _forward(self, connection: _Connection, port: int) -> None:
        target = self._target
        reader, writer = await self._source.connect(target.namespace, target.name, port)
        with contextlib.closing(writer):
            async with beside(_feed(connection, writer)):
                while data := await reader.read(READ_SIZE):
                    await self._socket.send(spdy.data_frame(connection.data, data))


async def _feed(connection: _Connection, writer: asyncio.StreamWriter) -> None:
    listens = True
    while (data := await connection.input.get()) is not None:
        if listens:
            try:
                writer.write(data)
                await writer.drain()
            except OSError:
                listens = False  # it may still have something to say
    with contextlib.suppress(OSError):
        writer.write_eof()
