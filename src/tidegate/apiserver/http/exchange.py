"""One request and its response: the ASGI triple with names for what the API needs of it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, parse_qsl

import orjson

from tidegate.apiserver.http.protocol import Subject
from tidegate.kube.errors import ApiError, PayloadTooLarge

if TYPE_CHECKING:
    from tidegate.apiserver.http.websockets import WebSocket

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 3 * 1024 * 1024
_COMPRESS_FROM_BYTES = 128 * 1024
_GZIP_LEVEL = 1
_MAX_WARNING_CHARS = 4096

_JSON_TYPE = b"application/json"


class ClientGoneError(Exception):
    """The client closed the connection before its request was read."""


class Exchange:
    """Reads a request within bounds and writes one response.

    Attributes:
        method: upper case.
        path: decoded.
        code: status sent, 0 before that.
        warnings: sent as `Warning` headers.
        socket: where the request asks for a WebSocket.
        headers: names in lower case; of repeated headers, the values joined by commas.
        query: parameters; of repeated ones, the first.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, socket: WebSocket | None = None
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body_read = False
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.code = 0
        self.warnings: list[str] = []
        self.socket = socket
        self.headers: Mapping[str, str] = _headers(scope["headers"])
        self.query: Mapping[str, str] = _query(scope["query_string"])

    def header_lists(self, prefix: str) -> dict[str, list[str]]:
        """The headers whose names begin with `prefix`, each with all its values."""
        found: dict[str, list[str]] = {}
        start = prefix.encode()
        for name, value in cast("list[tuple[bytes, bytes]]", self._scope["headers"]):
            if name.startswith(start):
                found.setdefault(name.decode("latin-1"), []).append(
                    value.decode("utf-8", "replace")
                )
        return found

    def query_values(self, name: str) -> list[str]:
        """All values of a query parameter that may be repeated."""
        raw: bytes = self._scope["query_string"]
        return parse_qs(raw.decode("latin-1"), keep_blank_values=True).get(name, [])

    @property
    def uri(self) -> str:
        """Path and query as sent."""
        raw: bytes = self._scope["query_string"]
        return f"{self.path}?{raw.decode('latin-1')}" if raw else self.path

    @property
    def source(self) -> str:
        """The client's address."""
        client = self._scope.get("client")
        return str(client[0]) if client else ""

    @property
    def certificate(self) -> Subject | None:
        """Who the client's certificate names; only verified ones get here."""
        return self._scope.get("client_subject")

    async def body(self) -> bytes:
        """The whole request body.

        Raises:
            PayloadTooLarge: it is over the limit.
            ClientGoneError: it did not come to its end.
        """
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY_BYTES:
                raise _too_large()
            if not message.get("more_body"):
                self._body_read = True
                return b"".join(parts)

    async def disconnected(self) -> None:
        """Return when the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reply(
        self,
        parts: Iterable[bytes],
        *,
        code: int = 200,
        content_type: bytes = _JSON_TYPE,
        headers: Iterable[tuple[bytes, bytes]] = (),
        compress: bool = True,
    ) -> None:
        """Send the whole response; large ones compressed where the client can take it."""
        chunks = list(parts)
        size = sum(len(chunk) for chunk in chunks)
        extra = list(headers)
        if compress and size >= _COMPRESS_FROM_BYTES and self._takes_gzip():
            chunks = [await asyncio.to_thread(_compress, chunks)]
            size = len(chunks[0])
            extra.append((b"content-encoding", b"gzip"))
            extra.append((b"vary", b"Accept-Encoding"))
        extra.append((b"content-length", b"%d" % size))
        await self.start(code, content_type, extra)
        last = len(chunks) - 1
        for index, chunk in enumerate(chunks or (b"",)):
            await self.write(chunk, more=index < last)

    async def reply_json(self, value: Any, *, code: int = 200) -> None:
        """Send a value as JSON, indented where the client asks for `pretty`."""
        pretty = self.query.get("pretty") in ("true", "1")
        await self.reply(
            (orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None),), code=code
        )

    async def reply_text(self, text: str, *, code: int = 200) -> None:
        """Send plain text."""
        await self.reply((text.encode(),), code=code, content_type=b"text/plain; charset=utf-8")

    async def reply_error(self, error: ApiError) -> None:
        """Send a refusal as a `Status`."""
        headers: list[tuple[bytes, bytes]] = []
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        if not self._body_read and "expect" in self.headers:
            # The client may now send its body or not: what comes next cannot be told.
            headers.append((b"connection", b"close"))
        await self.reply((orjson.dumps(error.status()),), code=error.code, headers=headers)

    def _takes_gzip(self) -> bool:
        return "gzip" in self.headers.get("accept-encoding", "")

    async def not_modified(
        self, content_type: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Tell the client that what it has is still good."""
        # Caches take over these headers, so that they must be those of the whole answer.
        await self.start(304, content_type, headers)
        await self.write(b"", more=False)

    async def start(
        self, code: int, content_type: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """Send status and headers; `write` follows."""
        self.code = code
        sent = [(b"content-type", content_type), *headers]
        if not any(name == b"cache-control" for name, _ in sent):
            sent.append((b"cache-control", b"no-cache, private"))
        sent.extend((b"warning", _warning(text)) for text in self.warnings)
        await self._send({"type": "http.response.start", "status": code, "headers": sent})

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a part of the body; waits while the client is slow."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _query(raw: bytes) -> dict[str, str]:
    query: dict[str, str] = {}
    if raw:
        for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
            query.setdefault(name, value)
    return query


def _compress(chunks: list[bytes]) -> bytes:
    return gzip.compress(b"".join(chunks), _GZIP_LEVEL, mtime=0)


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"Request entity too large: limit is {MAX_BODY_BYTES} bytes (3 MiB)")


def _warning(text: str) -> bytes:
    clean = "".join(char if char.isprintable() else " " for char in text)[:_MAX_WARNING_CHARS]
    quoted = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'.encode("latin-1", "replace")
