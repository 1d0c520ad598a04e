"""`pods/<name>/attach`: what a container writes, as it writes it, in a channel of a WebSocket.

It comes from the container's log, where standard output and error are one stream. Containers have
no standard input here, so that a client that wants to give some is refused rather than ignored.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import orjson

from tidegate.apiserver.api import Api
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.pods import attached, channel_socket, container_named, pod_on_node
from tidegate.apiserver.http.query import flag
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.subresources import PodLogs
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.errors import ApiError, BadRequest
from tidegate.kube.objects import Object

_STDOUT, _STATUS = b"\x01", b"\x03"


class PodOutput:
    """Serves attach.

    Args:
        logs: knows where the logs come from.
    """

    def __init__(self, api: Api, streams: Streams, logs: PodLogs) -> None:
        self._api = api
        self._streams = streams
        self._logs = logs

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
        if flag(exchange.query, "stdin"):
            raise BadRequest(
                f"container {container} of pod {target.name} has no standard input: attach without"
                " -i to see what it writes, or run a command with kubectl exec -i"
            )
        socket, protocol = channel_socket("attach", exchange.socket)
        source = attached(self._logs.source)
        self._streams.check_room()
        lines = source.stream(
            target.namespace,
            target.name,
            container,
            follow=True,
            tail_lines=0,
            since_seconds=None,
            previous=False,
            timestamps=False,
            limit_bytes=None,
        )
        exchange.code = 101
        await socket.accept(protocol)
        await self._streams.hold(_send(socket, lines), socket.read())


async def _send(socket: WebSocket, lines: AsyncIterator[bytes]) -> None:
    status: Object = {"metadata": {}, "status": "Success"}
    try:
        # An empty message says that it has begun.
        await socket.send(_STDOUT)
        async for chunk in lines:
            await socket.send(_STDOUT + chunk)
    except ApiError as error:
        status = error.status()
    finally:
        if isinstance(lines, AsyncGenerator):
            with contextlib.suppress(ApiError):
                await lines.aclose()
    await socket.send(_STATUS + orjson.dumps(status))
    await socket.close()
