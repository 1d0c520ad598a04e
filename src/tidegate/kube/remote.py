"""A `Client` over HTTPS, for everything that does not live in the API server's own process.

How to reach and to prove oneself to the API (kubeconfig, in-cluster account, exec plugins) is
lightkube's; the verbs are written here because objects are plain dictionaries in Tidegate.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import orjson
from lightkube.config.client_adapter import AsyncClient, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from tidegate.kube.client import EventType, ObjectList, PatchType, WatchEvent
from tidegate.kube.errors import InternalError, ServiceUnavailable, UserError, from_status
from tidegate.kube.objects import Object, name_of, namespace_of
from tidegate.kube.resources import PODS, Resource

_TIMEOUT_SECONDS = 30.0
_WATCH_SECONDS = 300.0
_PAGE_SIZE = 500
_QUOTED = 500


def connect(kubeconfig: Path | None = None, *, context: str | None = None) -> RemoteClient:
    """A client for the API that a kubeconfig file names, or the environment where it is None.

    Raises:
        UserError: there is no such file or context, or it cannot be read.
    """
    try:
        config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
        single = config.get(context)
    except (ConfigError, OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot use the kubeconfig {kubeconfig or ''}: {error}") from error
    if single is None:
        raise UserError("no Kubernetes API is configured: start one with `tidegate up`")
    timeout = httpx2.Timeout(_TIMEOUT_SECONDS)
    return RemoteClient(AsyncClient(single, ConnectionParams(timeout=timeout, trust_env=False)))


class RemoteClient:
    """Satisfies `tidegate.kube.client.Client`; close it with `aclose` or `async with`."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def __aenter__(self) -> RemoteClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        return await self._json("GET", resource.path(namespace, name))

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        query = _selectors(label_selector, field_selector) | {"limit": str(_PAGE_SIZE)}
        items: list[Object] = []
        while True:
            page = await self._json("GET", resource.path(namespace), query=query)
            # Items of a list carry no type of their own in Kubernetes' answers.
            type_meta = {"apiVersion": resource.api_version, "kind": resource.kind}
            found: list[Object] = page.get("items") or []
            items.extend(type_meta | item for item in found)
            metadata: Object = page.get("metadata") or {}
            if not metadata.get("continue"):
                return ObjectList(items, str(metadata.get("resourceVersion", "")))
            query["continue"] = metadata["continue"]

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        query = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
        }
        if resource_version:
            query["resourceVersion"] = resource_version
        return self._watch(resource.path(namespace), query)

    @asynccontextmanager
    async def _watch(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncGenerator[AsyncIterator[WatchEvent]]:
        # The server ends the watch by then; one that is silent for longer is gone, whatever the
        # network says. Spread out, so that watches begun together do not all come back together.
        seconds = int(_WATCH_SECONDS * (1 + random.random()))  # noqa: S311
        timeout = httpx2.Timeout(_TIMEOUT_SECONDS, read=seconds + _TIMEOUT_SECONDS)
        query = {**query, "timeoutSeconds": str(seconds)}
        try:
            async with self._http.stream("GET", path, params=query, timeout=timeout) as answer:
                if answer.is_error:
                    raise _error(answer.status_code, await answer.aread())
                yield _events(answer)
        except httpx2.RequestError as error:
            raise _unreachable(self._http, error) from error

    async def create(
        self, resource: Resource, obj: Object, *, namespace: str | None = None
    ) -> Object:
        path = resource.path(namespace or namespace_of(obj))
        return await self._json("POST", path, body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        path = resource.path(namespace_of(obj), name_of(obj), subresource)
        return await self._json("PUT", path, body=obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        *,
        namespace: str | None = None,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Object:
        path = resource.path(namespace, name, subresource)
        return await self._json("PATCH", path, body=patch, content_type=patch_type.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        propagation: str = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_seconds: int | None = None,
    ) -> None:
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {k: v for k, v in preconditions.items() if v}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        await self._json("DELETE", resource.path(namespace, name), body=options)

    async def stream_log(
        self,
        pod: str,
        *,
        namespace: str,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncGenerator[bytes]:
        """The log of a container as it is, in chunks; with `follow` until the container ends."""
        query = {"follow": str(follow).lower()}
        if container:
            query["container"] = container
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        timeout = httpx2.Timeout(_TIMEOUT_SECONDS, read=None if follow else _TIMEOUT_SECONDS)
        path = PODS.path(namespace, pod, "log")
        try:
            async with self._http.stream("GET", path, params=query, timeout=timeout) as answer:
                if answer.is_error:
                    raise _error(answer.status_code, await answer.aread())
                async for chunk in answer.aiter_bytes():
                    yield chunk
        except httpx2.RequestError as error:
            raise _unreachable(self._http, error) from error

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        headers = {"Accept": "application/json"}
        content: bytes | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = orjson.dumps(body)
        try:
            answer = await self._http.request(
                method, path, params=query, content=content, headers=headers
            )
        except httpx2.RequestError as error:
            raise _unreachable(self._http, error) from error
        if answer.is_error:
            raise _error(answer.status_code, answer.content)
        return _object(answer.content)


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    query = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in query.items() if value}


async def _events(answer: httpx2.Response) -> AsyncGenerator[WatchEvent]:
    async for line in answer.aiter_lines():
        if not line:
            continue
        event = _object(line.encode())
        if event.get("type") == "ERROR":
            raise from_status(event["object"])
        try:
            change = WatchEvent(EventType(event["type"]), event["object"])
        except (KeyError, ValueError) as error:
            raise InternalError(f"the API's watch sent no event: {line[:_QUOTED]!r}") from error
        yield change


def _object(body: bytes) -> Object:
    """What a Kubernetes API answers with; whatever stands before it may answer otherwise."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        text = body.decode(errors="replace")[:_QUOTED]
        raise InternalError(f"the API answered with no JSON object: {text!r}")
    return cast("Object", found)


def _error(code: int, body: bytes) -> Exception:
    try:
        status = _object(body)
    except InternalError:
        status = {"message": body.decode(errors="replace")[:_QUOTED]}
    return from_status(status, code=code)


def _unreachable(http: httpx2.AsyncClient, error: Exception) -> ServiceUnavailable:
    reason = str(error) or type(error).__name__
    return ServiceUnavailable(f"the Kubernetes API at {http.base_url} does not answer: {reason}")
