"""`pods/<name>/attach`: the streams of a container's own program in the channels of a WebSocket.

Whether it has input, and whether its streams are a terminal, the pod has said; what a client sends
to a container without input goes nowhere, as in Kubernetes.
"""

from __future__ import annotations

from functools import partial

from tidegate.apiserver.api import Api
from tidegate.apiserver.http.channels import SUCCESS, converse, send
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.exec import Attached, PodCommands
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.pods import attached, channel_socket, container_named, pod_on_node
from tidegate.apiserver.http.query import flag
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.objects import Object


class PodAttachments:
    """Serves attach.

    Args:
        commands: knows where the containers run.
    """

    def __init__(self, api: Api, streams: Streams, commands: PodCommands) -> None:
        self._api = api
        self._streams = streams
        self._commands = commands

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
        socket, protocol = channel_socket("attach", exchange.socket)
        source = attached(self._commands.source)
        self._streams.check_room()
        stdin = flag(exchange.query, "stdin")
        opening = source.attach(target.namespace, target.name, container, stdin=stdin)
        exchange.code = 101
        await socket.accept(protocol)
        await self._streams.hold(converse(socket, opening, partial(_relay, socket)), socket.read())


async def _relay(socket: WebSocket, streams: Attached) -> Object:
    async for stream, data in streams.output():
        await send(socket, stream, data)
    return SUCCESS
