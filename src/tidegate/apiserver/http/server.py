"""How the API is served: uvicorn's settings, and TLS that asks clients for certificates."""

from __future__ import annotations

import ssl
from typing import Any

import uvicorn

from tidegate.apiserver.certificates import KeyPair
from tidegate.apiserver.http.protocol import ApiProtocol
from tidegate.apiserver.http.websockets import MAX_MESSAGE_BYTES, SocketProtocol

GRACE_SECONDS = 3.0
# Go's HTTP client gives up idle connections after 90 s; closing first would race its requests.
_KEEP_ALIVE_SECONDS = 120
# For the client behind a WebSocket to answer a ping; it may have much to send first.
_PONG_SECONDS = 60


def tls_context(server: KeyPair, authority: str) -> ssl.SSLContext:
    """TLS 1.2 and up; a client certificate is asked for, and must be ours when it is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def configuration(application: Any, tls: ssl.SSLContext) -> uvicorn.Config:
    """uvicorn's settings for the ASGI `application` behind `tls`.

    Certificates loaded into the context later count for new connections.
    """
    config = uvicorn.Config(
        application,
        http=ApiProtocol,
        ws=SocketProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_timeout=_PONG_SECONDS,
        lifespan="off",
        interface="asgi3",
        loop="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    config.ssl = tls
    return config
