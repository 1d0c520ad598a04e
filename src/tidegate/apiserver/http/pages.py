"""Everything outside of resources: health, version, discovery, OpenAPI, token keys, figures."""

from __future__ import annotations

import asyncio
from typing import Protocol

import orjson

from tidegate.apiserver.authn.tokens import TokenIssuer
from tidegate.apiserver.discovery import (
    AGGREGATED_GROUP,
    AGGREGATED_VERSIONS,
    Discovery,
    aggregated_type,
    etag,
    version_document,
)
from tidegate.apiserver.http.accept import parse_accept
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.metering import CONTENT_TYPE as METRICS_TYPE
from tidegate.apiserver.http.metering import RequestMeter
from tidegate.apiserver.refusals import no_such_method, no_such_resource

HEALTH = frozenset(("/healthz", "/livez", "/readyz"))
# What anybody may read without saying who they are.
PUBLIC = frozenset((*HEALTH, "/version"))
# Whoever answers has read the whole store, and answers: there is no half of it.
_CHECKS = ("ping", "store")

_FIXED = (
    "/.well-known/openid-configuration",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
)


class OpenApi(Protocol):
    """Where the OpenAPI documents come from."""

    async def handle(self, exchange: Exchange, path: str) -> bool:
        """Answer a path below `/openapi`; False when there is no such document."""
        ...


class Pages:
    """Answers the requests that are allowed already.

    Args:
        server: base URL of the API.
    """

    def __init__(
        self,
        discovery: Discovery,
        openapi: OpenApi,
        tokens: TokenIssuer,
        meter: RequestMeter,
        *,
        server: str,
    ) -> None:
        self._discovery = discovery
        self._openapi = openapi
        self._tokens = tokens
        self._meter = meter
        self._server = server

    async def handle(self, exchange: Exchange) -> None:
        """Raises NotFound, MethodNotAllowed."""
        path = exchange.path.rstrip("/") or "/"
        if exchange.method not in ("GET", "HEAD"):
            raise no_such_method()
        if not await self._answer(exchange, path):
            raise no_such_resource()

    async def _answer(self, exchange: Exchange, path: str) -> bool:
        if path in HEALTH or path.startswith(tuple(f"{page}/" for page in HEALTH)):
            text = _health(path, verbose="verbose" in exchange.query)
            if text is None:
                return False
            await exchange.reply_text(text)
        elif path == "/version":
            await exchange.reply_json(version_document())
        elif path == "/":
            await exchange.reply_json({"paths": self._paths()})
        elif path == "/metrics":
            text = await asyncio.to_thread(self._meter.exposition)
            await exchange.reply((text,), content_type=METRICS_TYPE)
        elif path == "/openid/v1/jwks":
            keys = orjson.dumps(self._tokens.key_set())
            await exchange.reply((keys,), content_type=b"application/jwk-set+json")
        elif path == "/.well-known/openid-configuration":
            await exchange.reply_json(self._tokens.configuration(self._server))
        elif path.startswith("/openapi/"):
            return await self._openapi.handle(exchange, path)
        elif path == "/api" or path == "/apis" or path.startswith(("/api/", "/apis/")):
            return await self._discover(exchange, path)
        else:
            return False
        return True

    async def _discover(self, exchange: Exchange, path: str) -> bool:
        aggregated = _wanted_aggregate(exchange) if path in ("/api", "/apis") else ""
        document = self._discovery.document(path, aggregated=aggregated)
        if document is None:
            return False
        content_type = aggregated_type(aggregated).encode() if aggregated else b"application/json"
        tag = f'"{etag(document)}"'
        headers = [(b"etag", tag.encode()), (b"vary", b"Accept")]
        if exchange.headers.get("if-none-match") == tag:
            await exchange.not_modified(content_type, headers)
        else:
            await exchange.reply((document,), content_type=content_type, headers=headers)
        return True

    def _paths(self) -> list[str]:
        groups = orjson.loads(self._discovery.document("/apis") or b"{}")
        paths = ["/api", "/api/v1", "/apis", *_FIXED]
        for group in groups["groups"]:
            paths.append(f"/apis/{group['name']}")
            paths.extend(f"/apis/{version['groupVersion']}" for version in group["versions"])
        return sorted(paths)


def _wanted_aggregate(exchange: Exchange) -> str:
    """The version of the aggregated form that the client would rather have, empty for none."""
    for media in parse_accept(exchange.headers.get("accept", "")):
        if media.type != "application/json":
            continue
        if not media.transform:
            return ""
        version = media.get("v")
        if (media.transform, media.get("g")) == ("APIGroupDiscoveryList", AGGREGATED_GROUP) and (
            version in AGGREGATED_VERSIONS
        ):
            return version
    return ""


def _health(path: str, *, verbose: bool) -> str | None:
    """What a check of the health says; None where there is no such check."""
    base, _, name = path[1:].partition("/")
    if name:
        return "ok" if name in _CHECKS else None
    if not verbose:
        return "ok"
    return "".join(f"[+]{check} ok\n" for check in _CHECKS) + f"{base} check passed\n"
