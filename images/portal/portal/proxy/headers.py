"""What a proxy must change in the headers of a request and of a response, as pure functions.

Hop-by-hop headers (RFC 9110, section 7.6.1) end here; the Host header becomes the service's;
what the service says about its own host name (redirects, the domain of a cookie, the origin) is
translated, because the browser knows the service by the portal's address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

RawHeaders = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
# uvicorn has already told the client to go on.
_ANSWERED_HERE = frozenset({b"host", b"expect"})


def value_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The first value of a header, empty when absent."""
    return next((v.decode("latin-1") for n, v in headers if n.lower() == name), "")


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers without those that belong to one connection only."""
    held = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in held
        if name == b"connection"
        for token in value.split(b",")
    }
    return [(name, value) for name, value in held if name not in _HOP_BY_HOP | named]


def request_headers(headers: RawHeaders, *, service_host: str, client: str) -> RawHeaders:
    """The headers for the gateway; `client` is the address of the browser."""
    own_host = value_of(headers, b"host")
    kept = [
        (name, _translated_origin(value, own_host, service_host) if name == b"origin" else value)
        for name, value in end_to_end(headers)
        if name not in _FORWARDED | _ANSWERED_HERE
    ]
    return [
        (b"host", service_host.encode()),
        *kept,
        (b"x-forwarded-for", client.encode()),
        (b"x-forwarded-host", own_host.encode("latin-1")),
        (b"x-forwarded-proto", b"http"),
    ]


def response_headers(headers: Iterable[tuple[bytes, bytes]], *, service_host: str) -> RawHeaders:
    """The headers for the browser."""
    return [(name, _for_browser(name, value, service_host)) for name, value in end_to_end(headers)]


def _for_browser(name: bytes, value: bytes, service_host: str) -> bytes:
    if name == b"location":
        return _local_location(value, service_host)
    if name == b"set-cookie":
        return re.sub(rb";\s*domain=[^;]*", b"", value, flags=re.IGNORECASE)
    return value


def _local_location(value: bytes, service_host: str) -> bytes:
    """A redirect to the service's host name leads back to the portal; others are left alone."""
    target = urlsplit(value.decode("latin-1"))
    if target.hostname != service_host.lower():
        return value
    local = target._replace(scheme="", netloc="")
    return (local.geturl() or "/").encode("latin-1")


def _translated_origin(value: bytes, own_host: str, service_host: str) -> bytes:
    """The portal's own origin is the service's origin to the service (CSRF checks compare it)."""
    return f"http://{service_host}".encode() if value == f"http://{own_host}".encode() else value
