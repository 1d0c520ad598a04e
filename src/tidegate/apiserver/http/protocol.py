"""uvicorn's HTTP protocol, with what an API server needs beside it.

The verified client certificate reaches the application as `scope["client_subject"]`, and request
headers have a bound in size and in time.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.apiserver.http import spdysockets
from tidegate.apiserver.http.gathering import GatheringTransport

_MAX_HEADER_BYTES = 64 * 1024
_MAX_HEADERS = 200
# For the headers of a request to be complete, from its first byte or from the connection's start.
_HEADER_SECONDS = 30.0

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain\r\ncontent-length: 38\r\nconnection: close\r\n\r\n"
    b"the request's headers are over 64 KiB\n"
)


@dataclass(frozen=True)
class Subject:
    """Who a verified client certificate names."""

    common_name: str
    organizations: tuple[str, ...]


class ApiProtocol(HttpToolsProtocol):
    """One connection."""

    _subject: Subject | None = None
    _header_bytes = 0
    _in_headers = True
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(GatheringTransport(transport, self.loop))
        self._subject = peer(transport.get_extra_info("ssl_object"))
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_headers:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._in_headers = True
        scope = cast("dict[str, Any]", self.scope)
        scope["client_subject"] = self._subject

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if len(self.headers) >= _MAX_HEADERS:
            self._refuse()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._headers_came()
        super().on_headers_complete()

    def _should_upgrade(self) -> bool:
        return spdysockets.is_wanted(self._get_upgrade(), self.url) or super()._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        if not spdysockets.is_wanted(self._get_upgrade(), self.url):
            super().handle_websocket_upgrade()
            return
        path, _, query = self.url.partition(b"?")
        scope = cast("dict[str, Any]", self.scope)
        scope |= {"path": unquote(path.decode("ascii")), "raw_path": path, "query_string": query}
        connection = spdysockets.SpdyProtocol(self.transport, scope)
        self.connections.discard(self)
        self.transport.set_protocol(connection)
        self.connections.add(cast("Any", connection))
        application = getattr(self, "app")  # noqa: B009 - uvicorn does not say its type
        serving = self.loop.create_task(connection.serve(application))
        self.tasks.add(serving)
        serving.add_done_callback(self.tasks.discard)
        serving.add_done_callback(lambda _: self.connections.discard(cast("Any", connection)))

    def _expect_headers(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _headers_came(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADER_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        raise _HeadersTooLargeError


class _HeadersTooLargeError(Exception):
    """Stops the parser; the answer is already on its way."""


def peer(connection: ssl.SSLObject | None) -> Subject | None:
    """Who the client's certificate names, None without one."""
    # With CERT_OPTIONAL the dictionary is empty without a certificate, and only verified ones
    # ever get here.
    certificate = connection.getpeercert() if connection is not None else None
    if not certificate:
        return None
    names: list[tuple[str, str]] = [
        pair
        for relative in cast("tuple[tuple[tuple[str, str], ...], ...]", certificate["subject"])
        for pair in relative
    ]
    return Subject(
        common_name=next((value for name, value in names if name == "commonName"), ""),
        organizations=tuple(value for name, value in names if name == "organizationName"),
    )
