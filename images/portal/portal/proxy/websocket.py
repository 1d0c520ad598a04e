"""Forwards one websocket: a connection to the service is opened first, then accepted here."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from portal.gateway import Gateway
from portal.proxy.headers import request_headers, value_of

MOST_MESSAGE_BYTES = 16 * 1024 * 1024
OPEN_SECONDS = 300.0


async def forward_websocket(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """Forward messages both ways until one side closes."""
    await receive()  # websocket.connect
    try:
        upstream = await _open(gateway, scope)
    except (OSError, TimeoutError, WebSocketException) as error:
        status = f" ({error.response.status_code})" if isinstance(error, InvalidStatus) else ""
        reason = f"The service does not open the websocket{status}."
        await send({"type": "websocket.close", "code": 1014, "reason": reason})
        return
    async with upstream:
        await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
        down = asyncio.ensure_future(_to_browser(upstream, send))
        up = asyncio.ensure_future(_to_service(upstream, receive))
        try:
            await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (down, up):
                task.cancel()
            await asyncio.gather(down, up, return_exceptions=True)


async def _open(gateway: Gateway, scope: Scope) -> ClientConnection:
    client = scope.get("client")
    headers = request_headers(
        scope["headers"], service_host=gateway.host, client=client[0] if client else "unknown"
    )
    query = "?" + scope["query_string"].decode("latin-1") if scope["query_string"] else ""
    origin = value_of(headers, b"origin")
    return await connect(
        f"ws://{gateway.host}{scope['raw_path'].decode('latin-1')}{query}",
        host=gateway.address,
        port=gateway.port,
        origin=Origin(origin) if origin else None,
        subprotocols=[Subprotocol(name) for name in scope.get("subprotocols", [])] or None,
        additional_headers=[
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if name not in (b"host", b"origin") and not name.startswith(b"sec-websocket-")
        ],
        user_agent_header=None,
        proxy=None,
        open_timeout=OPEN_SECONDS,
        max_size=MOST_MESSAGE_BYTES,
    )


async def _to_browser(upstream: ClientConnection, send: Send) -> None:
    try:
        async for message in upstream:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
    except ConnectionClosed:
        pass
    code = upstream.close_code or 1011
    await send(
        {
            "type": "websocket.close",
            "code": 1011 if code == 1006 else code,
            "reason": upstream.close_reason or "",
        }
    )


async def _to_service(upstream: ClientConnection, receive: Receive) -> None:
    while True:
        message: Any = await receive()
        if message["type"] == "websocket.disconnect":
            await upstream.close(message.get("code") or 1000)
            return
        text = message.get("text")
        await upstream.send(text if text is not None else message["bytes"])
