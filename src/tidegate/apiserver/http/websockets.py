"""WebSockets, over which kubectl speaks with containers: from uvicorn's protocol to one object.

Until it is accepted, a WebSocket is a GET like any other and is refused like any other.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from tidegate.apiserver.http.exchange import (
    ClientGoneError,
    Exchange,
    Message,
    Receive,
    Scope,
    Send,
)
from tidegate.apiserver.http.protocol import Subject, peer
from tidegate.apiserver.http.spdysockets import MESSAGE_BYTES

_SUBPROTOCOL = "Sec-WebSocket-Protocol"
_BEARER = "base64url.bearer.authorization.k8s.io."
MAX_MESSAGE_BYTES = 1024 * 1024
# What may wait here while its reader is slow. Reading ahead is what notices that the client left.
_MAX_WAITING_BYTES = 4 * 1024 * 1024


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection that has become a WebSocket; the certificate goes with it."""

    _subject: Subject | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._subject = peer(transport.get_extra_info("ssl_object"))

    def handle_connect(self, event: Request) -> None:
        # Kubernetes' name for SPDY in a WebSocket has a slash, which names may not have.
        offered = event.headers.get_all(_SUBPROTOCOL)
        if offered:
            del event.headers[_SUBPROTOCOL]
        super().handle_connect(event)
        refused = self.close_sent
        if not refused:
            names = [name.strip() for header in offered for name in header.split(",")]
            cast("dict[str, Any]", self.scope)["subprotocols"] = names

    async def run_asgi(self) -> None:
        cast("dict[str, Any]", self.scope)["client_subject"] = self._subject
        await super().run_asgi()


class WebSocket:
    """One WebSocket.

    Attributes:
        offered: the subprotocols the client speaks, its favourite first.
        bearer: a token that came among the subprotocols, where browsers, which cannot set
            headers, put it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names: list[str] = scope["subprotocols"]
        self.offered = tuple(name for name in names if not name.startswith(_BEARER))
        self.bearer = next((_token(name) for name in names if name.startswith(_BEARER)), "")
        self._receive = receive
        self._send = send
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def accept(self, subprotocol: str | None = None) -> None:
        """Open it; `read` must run from then on."""
        await self._receive()  # the handshake
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})

    async def read(self) -> None:
        """Take in messages for `receive` until the client goes."""
        while True:
            await self._room.wait()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._messages.put_nowait(None)
                return
            data: bytes = message.get("bytes") or str(message.get("text") or "").encode()
            self._waiting_bytes += len(data) + MESSAGE_BYTES
            if self._waiting_bytes > _MAX_WAITING_BYTES:
                self._room.clear()
            self._messages.put_nowait(data)

    async def receive(self) -> bytes | None:
        """The next message, None when the client has gone."""
        data = await self._messages.get()
        if data is not None:
            self._waiting_bytes -= len(data) + MESSAGE_BYTES
        if self._waiting_bytes <= _MAX_WAITING_BYTES:
            self._room.set()
        return data

    async def send(self, data: bytes) -> None:
        """Send a message; waits while the client is slow."""
        await self._send_message({"type": "websocket.send", "bytes": data})

    async def send_text(self, data: bytes) -> None:
        """Like `send`, for a message of UTF-8 text."""
        await self._send_message({"type": "websocket.send", "text": data.decode()})

    async def _send_message(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise ClientGoneError from error

    async def close(self) -> None:
        """Say goodbye."""
        await self._send({"type": "websocket.close", "code": 1000})


def _token(name: str) -> str:
    """The token in a subprotocol's name; what is none counts as one that nobody knows."""
    encoded = name.removeprefix(_BEARER)
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return encoded


def exchange_of(scope: Scope, receive: Receive, send: Send) -> Exchange:
    """The handshake as the HTTP request it is, refused by an HTTP response."""

    async def send_response(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    # Over SPDY it may be a POST.
    request = {"method": "GET", **scope, "type": "http"}
    socket = WebSocket(scope, receive, send)
    return Exchange(request, receive, send_response, socket=socket)
