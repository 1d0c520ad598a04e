"""Forwards one HTTP request: bodies are streamed both ways, nothing is buffered or decoded.

httpx's transport is used without its client, because a client would follow its own mind about
cookies, redirects and compression.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.types import Receive, Scope, Send

from portal.gateway import Gateway, GatewayFinder
from portal.proxy.headers import request_headers, response_headers, value_of
from portal.proxy.unavailable import refuse

CONNECT_SECONDS = 10.0
# A request may wait in the gateway for a pod to start, and a picture takes its time.
SILENCE_SECONDS = 600.0
_TIMEOUT = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
MOST_CONNECTIONS = 256


class ClientGone(Exception):  # noqa: N818 - not a fault of anybody
    """The browser left in the middle of its request."""


class _Body:
    """The request body as a stream; `complete` is set when the browser has sent all of it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]
        self.complete.set()


class HttpProxy:
    """Keeps the connections to the gateway."""

    def __init__(self, finder: GatewayFinder, *, service: str) -> None:
        self._finder = finder
        self._service = service
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=16),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def forward(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request and stream the answer; given up when the browser leaves."""
        body = _Body(receive)
        has_body = _has_body(scope)
        if not has_body:
            body.complete.set()
        request = _request(gateway, scope, body if has_body else None)
        exchange = asyncio.ensure_future(self._exchange(request, gateway, scope, receive, send))
        departure = asyncio.ensure_future(_departure(body, receive))
        try:
            await asyncio.wait({exchange, departure}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (exchange, departure):
                task.cancel()
            results = await asyncio.gather(exchange, departure, return_exceptions=True)
        if isinstance(results[0], Exception) and not isinstance(results[0], ClientGone):
            raise results[0]

    async def _exchange(
        self, request: httpx.Request, gateway: Gateway, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            response = await self._transport.handle_async_request(request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                self._finder.forget()
            reason = f"The gateway at {gateway.authority} does not answer: {error}"
            await refuse(scope, receive, send, service=self._service, reason=reason, status=502)
            return
        try:
            await _send_response(response, gateway, send)
        finally:
            await response.aclose()


def _has_body(scope: Scope) -> bool:
    length = value_of(scope["headers"], b"content-length")
    return length not in ("", "0") or bool(value_of(scope["headers"], b"transfer-encoding"))


def _request(gateway: Gateway, scope: Scope, body: _Body | None) -> httpx.Request:
    client = scope.get("client")
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    return httpx.Request(
        scope["method"],
        httpx.URL(gateway.url),
        headers=request_headers(
            scope["headers"], service_host=gateway.host, client=client[0] if client else "unknown"
        ),
        content=body,
        # The target goes on as it came: httpx would encode some characters anew.
        extensions={"timeout": _TIMEOUT.as_dict(), "target": target},
    )


async def _send_response(response: httpx.Response, gateway: Gateway, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response_headers(response.headers.raw, service_host=gateway.host),
        }
    )
    async for part in response.aiter_raw():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _departure(body: _Body, receive: Receive) -> None:
    """Return when the browser has left; it cannot be told before its body was read."""
    await body.complete.wait()
    while (await receive())["type"] != "http.disconnect":
        pass
