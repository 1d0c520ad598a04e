"""Subresources that are no part of a stored object: logs and tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol, cast

from tidegate.apiserver.api import Api
from tidegate.apiserver.authn.tokens import (
    ISSUER,
    MAXIMUM_SECONDS,
    MINIMUM_SECONDS,
    BoundTo,
    TokenIssuer,
)
from tidegate.apiserver.http.bodies import decode_object
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.optionchecks import check_log
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.pods import attached, container_named, pod_at
from tidegate.apiserver.http.query import flag, number
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.refusals import no_such_method, not_found
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.clock import parse_rfc3339, rfc3339
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Key, Object, uid_of
from tidegate.kube.resources import NODES, PODS, SECRETS, Resource

TOKEN_REQUEST = Resource("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests")
_DEFAULT_SECONDS = 3600
_FIRST_CHUNK_SECONDS = 0.2
_BINDABLE = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


class Subresource(Protocol):
    """Answers requests on one subresource; authorizes them itself, through the `Api`."""

    async def handle(
        self,
        exchange: Exchange,
        context: RequestContext,
        spec: KindSpec,
        target: ResourcePath,
        verb: str,
    ) -> None: ...


class LogSource(Protocol):
    """Where the logs of pods come from: the node."""

    def stream(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool,
        tail_lines: int | None,
        since_seconds: float | None,
        previous: bool,
        timestamps: bool,
        limit_bytes: int | None,
    ) -> AsyncGenerator[bytes]:
        """The log in chunks of whole lines. Raises ApiError where there is none."""
        ...


class PodLogs:
    """`GET pods/<name>/log`."""

    def __init__(self, api: Api, streams: Streams) -> None:
        self._api = api
        self._streams = streams
        self.source: LogSource | None = None

    async def handle(
        self,
        exchange: Exchange,
        context: RequestContext,
        spec: KindSpec,
        target: ResourcePath,
        verb: str,
    ) -> None:
        pod = pod_at(self._api, context, spec, target, verb, verbs=("get",))
        source = attached(self.source)
        self._streams.check_room()
        query = exchange.query
        check_log(query, target.name)
        lines = source.stream(
            target.namespace,
            target.name,
            container_named(pod, query.get("container", "")),
            follow=flag(query, "follow"),
            tail_lines=number(query, "tailLines"),
            since_seconds=self._since(exchange),
            previous=flag(query, "previous"),
            timestamps=flag(query, "timestamps"),
            limit_bytes=number(query, "limitBytes"),
        )
        await self._send(exchange, lines)

    def _since(self, exchange: Exchange) -> float | None:
        seconds = number(exchange.query, "sinceSeconds")
        if seconds is not None:
            return float(seconds)
        time = exchange.query.get("sinceTime")
        if not time:
            return None
        try:
            return max(self._api.clock.time() - parse_rfc3339(time), 0.0)
        except ValueError as error:
            raise BadRequest(f"sinceTime: {time!r} is no RFC 3339 time") from error

    async def _send(self, exchange: Exchange, lines: AsyncGenerator[bytes]) -> None:
        # A source that has nothing to give refuses with its first chunk, while there is still a
        # status to send; but one that follows may have nothing to say for a long time.
        first = asyncio.ensure_future(anext(lines, b""))
        try:
            follow = flag(exchange.query, "follow")
            await asyncio.wait({first}, timeout=_FIRST_CHUNK_SECONDS if follow else None)
            if first.done():
                first.result()
            await exchange.start(200, b"text/plain")
            await self._streams.run(exchange, _copy(exchange, first, lines))
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await lines.aclose()


async def _copy(
    exchange: Exchange, first: asyncio.Future[bytes], lines: AsyncGenerator[bytes]
) -> None:
    chunk = await first
    while chunk:
        await exchange.write(chunk)
        chunk = await anext(lines, b"")


class AccountTokens:
    """`POST serviceaccounts/<name>/token`: a TokenRequest."""

    def __init__(self, api: Api, tokens: TokenIssuer) -> None:
        self._api = api
        self._tokens = tokens

    async def handle(
        self,
        exchange: Exchange,
        context: RequestContext,
        spec: KindSpec,
        target: ResourcePath,
        verb: str,
    ) -> None:
        if verb != "create":
            raise no_such_method()
        self._api.authorize(
            context,
            verb,
            spec,
            subresource="token",
            namespace=target.namespace,
            name=target.name,
        )
        account = self._api.view.find(spec.resource, Key(target.namespace, target.name))
        if account is None:
            raise not_found(spec.resource, target.name)
        content_type = exchange.headers.get("content-type", "")
        request = decode_object(await exchange.body(), content_type, context)
        answer = self._issue(request, account, target)
        await exchange.reply_json(answer, code=201)

    def _issue(self, request: Object, account: Object, target: ResourcePath) -> Object:
        wanted: Object = request.get("spec") or {}
        seconds = wanted.get("expirationSeconds")
        seconds = _DEFAULT_SECONDS if seconds is None else seconds
        audiences: list[str] = wanted.get("audiences") or [ISSUER]
        _check_request(request, seconds, audiences)
        token, expires = self._tokens.issue(
            namespace=target.namespace,
            name=target.name,
            uid=uid_of(account),
            audiences=audiences,
            seconds=seconds,
            bound_to=self._bound(wanted.get("boundObjectRef"), target.namespace),
        )
        return {
            "kind": "TokenRequest",
            "apiVersion": TOKEN_REQUEST.api_version,
            "metadata": {
                "name": target.name,
                "namespace": target.namespace,
                "creationTimestamp": rfc3339(self._api.clock.time()),
            },
            "spec": {**wanted, "audiences": audiences, "expirationSeconds": seconds},
            "status": {"token": token, "expirationTimestamp": rfc3339(expires)},
        }

    def _bound(self, reference: Any, namespace: str) -> BoundTo | None:
        if not reference:
            return None
        kind, name = str(reference.get("kind", "")), str(reference.get("name", ""))
        resource = _BINDABLE.get(kind)
        if resource is None:
            raise BadRequest(f"cannot bind token to object of kind {kind!r}: use a Pod or Secret")
        obj = self._api.view.find(resource, Key(namespace if resource.namespaced else "", name))
        if obj is None:
            raise not_found(resource, name)
        uid = reference.get("uid")
        if uid and uid != uid_of(obj):
            raise BadRequest(
                f"the UID in the bound object reference ({uid}) does not match the UID in record."
                " The object might have been deleted and then recreated"
            )
        return BoundTo(kind, name, uid_of(obj))


def _check_request(request: Object, seconds: Any, audiences: Any) -> None:
    errors = FieldErrors()
    path = "spec.expirationSeconds"
    if type(seconds) is not int:
        errors.type_invalid(path, seconds, "must be an integer")
    elif seconds < MINIMUM_SECONDS:
        errors.invalid(path, seconds, "may not specify a duration less than 10 minutes")
    elif seconds > MAXIMUM_SECONDS:
        errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
    if not isinstance(audiences, list) or not all(
        isinstance(audience, str) for audience in cast("list[Any]", audiences)
    ):
        errors.type_invalid("spec.audiences", audiences, "must be a list of strings")
    errors.raise_for(TOKEN_REQUEST, request)
