"""Requests on resources: from the URL grammar to a call of the `Api`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.apiserver.api import Api
from tidegate.apiserver.http.bodies import (
    decode_json,
    decode_object,
    decode_yaml,
    decode_yaml_or_json,
    media_type,
)
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.paths import ResourcePath, verb_of
from tidegate.apiserver.http.protobuf import decode as protobuf
from tidegate.apiserver.http.query import (
    delete_options,
    flag,
    list_options,
    request_context,
    watch_options,
)
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.subresources import Subresource
from tidegate.apiserver.http.views import View, view_for
from tidegate.apiserver.http.watches import Watches
from tidegate.apiserver.listing import parse_version
from tidegate.apiserver.options import Deletion, Listing
from tidegate.apiserver.refusals import no_such_method, no_such_resource, version_too_large
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext, User
from tidegate.apiserver.storage.stored import Stored
from tidegate.kube.client import PatchType
from tidegate.kube.errors import (
    BadRequest,
    Gone,
    UnsupportedMediaType,
)
from tidegate.kube.objects import Object, uid_of

_APPLY_TYPES = frozenset((PatchType.APPLY.value, "application/apply-patch+cbor"))
_PATCH_TYPES = {patch_type.value: patch_type for patch_type in PatchType}


@dataclass(frozen=True)
class Call:
    """One request on a resource, understood."""

    exchange: Exchange
    user: User
    spec: KindSpec
    target: ResourcePath
    verb: str

    @property
    def namespace(self) -> str | None:
        return self.target.namespace or None

    def context(self, body: Object | None = None, *, apply: bool = False) -> RequestContext:
        exchange = self.exchange
        return request_context(
            self.user,
            exchange.query,
            exchange.warnings,
            agent=exchange.headers.get("user-agent", ""),
            verb=self.verb,
            apply=apply,
            body=body,
        )


class ResourceHandler:
    """Serves everything below a group's version.

    Args:
        api: the pipeline.
        streams: runs watches.
        subresources: those served beside the pipeline's own, by (group, plural, subresource).
    """

    def __init__(
        self,
        api: Api,
        streams: Streams,
        subresources: Mapping[tuple[str, str, str], Subresource],
    ) -> None:
        self._api = api
        self._streams = streams
        self._watches = Watches(streams, api.clock)
        self._subresources = subresources
        self._verbs = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def understand(self, exchange: Exchange, user: User, target: ResourcePath) -> Call:
        """Find the kind and the verb.

        Raises:
            NotFound: there is no such resource.
            MethodNotAllowed: it has no such verb.
        """
        spec = self._api.registry.find(target.group, target.version, target.plural)
        if (
            spec is None
            or target.rest
            or (target.namespace and not spec.resource.namespaced)
            or (target.watch and target.subresource)
        ):
            raise no_such_resource()
        watch = target.watch or (not target.subresource and flag(exchange.query, "watch"))
        verb = verb_of(exchange.method, target, watch=watch)
        needs_namespace = target.name or verb == "create"
        if spec.resource.namespaced and not target.namespace and needs_namespace:
            if target.name:
                raise no_such_resource()
            if not spec.create_handler:
                raise no_such_method()
        return Call(exchange, user, spec, target, verb)

    async def handle(self, call: Call) -> None:
        """Carry the request out and answer it."""
        target = call.target
        if call.spec.deprecation:
            call.exchange.warnings.append(call.spec.deprecation)
        key = (target.group, target.plural, target.subresource)
        special = self._subresources.get(key) if target.subresource else None
        if special is not None:
            await special.handle(call.exchange, call.context(), call.spec, target, call.verb)
            return
        await self._verbs[call.verb](call)

    async def _get(self, call: Call) -> None:
        view = self._view(call)
        target = call.target
        asked = parse_version(call.exchange.query.get("resourceVersion", ""))
        current = self._api.store.version
        if asked > current:
            raise version_too_large(asked, current)
        stored = await self._api.get(
            call.context(),
            call.spec,
            target.name,
            namespace=call.namespace,
            subresource=target.subresource,
        )
        await self._answer(call, view, stored)

    async def _list(self, call: Call) -> None:
        view = self._view(call)
        listing = await self._api.list(
            call.context(),
            call.spec,
            namespace=call.namespace,
            options=list_options(call.exchange.query),
        )
        await call.exchange.reply(view.page(listing), content_type=view.content_type)

    async def _watch(self, call: Call) -> None:
        exchange = call.exchange
        options = watch_options(exchange.query, name=call.target.name)
        view = self._view(call)
        self._streams.check_room()
        try:
            watch = self._api.watch(
                call.context(), call.spec, namespace=call.namespace, options=options
            )
        except Gone as error:
            # Watchers get this as an event, whether it comes at once or later.
            await self._watches.refuse(exchange, error, view)
            return
        await self._watches.serve(exchange, watch, view)

    async def _create(self, call: Call) -> None:
        context = call.context()
        target, exchange = call.target, call.exchange
        content_type = exchange.headers.get("content-type", "")
        view = self._view(call)
        obj = decode_object(await exchange.body(), content_type, context)
        stored = await self._api.create(
            context,
            call.spec,
            obj,
            namespace=call.namespace,
            name=target.name,
            subresource=target.subresource,
        )
        await self._answer(call, view, stored, code=201)

    async def _update(self, call: Call) -> None:
        view = self._view(call)
        context = call.context()
        target, exchange = call.target, call.exchange
        content_type = exchange.headers.get("content-type", "")
        obj = decode_object(await exchange.body(), content_type, context)
        stored, created = await self._api.put(
            context,
            call.spec,
            target.name,
            obj,
            namespace=call.namespace,
            subresource=target.subresource,
        )
        await self._answer(call, view, stored, code=201 if created else 200)

    async def _patch(self, call: Call) -> None:
        view = self._view(call)
        target, exchange = call.target, call.exchange
        patch_type = _patch_type(exchange)
        apply = patch_type is PatchType.APPLY
        context = call.context(apply=apply)
        body = await exchange.body()
        patch = decode_yaml_or_json(body, context) if apply else decode_json(body, context)
        stored, created = await self._api.patch(
            context,
            call.spec,
            target.name,
            patch,
            patch_type,
            namespace=call.namespace,
            subresource=target.subresource,
        )
        await self._answer(call, view, stored, code=201 if created else 200)

    async def _delete(self, call: Call) -> None:
        view = self._view(call)
        body = await _options_body(call.exchange)
        deletion = await self._api.delete(
            call.context(body),
            call.spec,
            call.target.name,
            namespace=call.namespace,
            options=delete_options(call.exchange.query, body),
        )
        if deletion.removed:
            await call.exchange.reply_json(_success(call, deletion))
        else:
            await self._answer(call, view, deletion.stored)

    async def _delete_collection(self, call: Call) -> None:
        view = self._view(call)
        body = await _options_body(call.exchange)
        deleted = await self._api.delete_collection(
            call.context(body),
            call.spec,
            namespace=call.namespace,
            selection=list_options(call.exchange.query),
            options=delete_options(call.exchange.query, body),
        )
        listing = Listing(deleted, self._api.store.version)
        await call.exchange.reply(view.page(listing), content_type=view.content_type)

    def _view(self, call: Call) -> View:
        """The form of the answer, before anything is done: who cannot take it changes nothing."""
        return view_for(
            call.exchange, call.spec, self._api.clock, subresource=call.target.subresource
        )

    async def _answer(self, call: Call, view: View, stored: Stored, *, code: int = 200) -> None:
        # Clients compare what a write answers with what a read shows: kubectl's `(no change)`.
        whole = self._api.with_owners(call.spec, stored)
        await call.exchange.reply(view.one(whole), code=code, content_type=view.content_type)


def _patch_type(exchange: Exchange) -> PatchType:
    given = media_type(exchange.headers.get("content-type", ""))
    patch_type = _PATCH_TYPES.get(given)
    if patch_type is None:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - {given!r}; accepted media types "
            f"include: {', '.join(_PATCH_TYPES)}"
        )
    return patch_type


async def _options_body(exchange: Exchange) -> Object | None:
    body = await exchange.body()
    if not body.strip():
        return None
    kind = media_type(exchange.headers.get("content-type", ""))
    value: Any
    if kind == protobuf.MEDIA_TYPE:
        value = protobuf.decode(body)
    else:
        value = decode_yaml(body) if "yaml" in kind else decode_json(body)
    if not isinstance(value, dict):
        raise BadRequest("the body of a delete must be DeleteOptions")
    return value  # pyright: ignore[reportUnknownVariableType]


def _success(call: Call, deletion: Deletion) -> dict[str, Any]:
    resource = call.spec.resource
    details = {
        "name": call.target.name,
        "group": resource.group,
        "kind": resource.plural,
        "uid": uid_of(deletion.stored.object),
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {name: value for name, value in details.items() if value},
    }
