"""`Api`: the one pipeline that HTTP and in-process clients go through.

authorize -> decode, default, validate -> store. Between the look at an object and the submission
of its next version nothing awaits, so that concurrent writers meet as if one came after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from tidegate.apiserver.admission import Admission, check_preconditions
from tidegate.apiserver.deletion import begin_delete, check_delete_preconditions, is_finished
from tidegate.apiserver.listing import Lister
from tidegate.apiserver.options import (
    DeleteOptions,
    Deletion,
    Listing,
    ListOptions,
    WatchOptions,
)
from tidegate.apiserver.patch.dispatch import apply_patch
from tidegate.apiserver.patch.updates import MARK
from tidegate.apiserver.refusals import (
    already_exists,
    forbidden,
    method_not_allowed,
    no_such_resource,
    not_found,
)
from tidegate.apiserver.registry.metadata import metadata_of
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import Authorizer, RequestContext
from tidegate.apiserver.scale import applied_scale, scale_of, with_scale
from tidegate.apiserver.selection import exact_name
from tidegate.apiserver.storage.store import Store
from tidegate.apiserver.storage.stored import Stored
from tidegate.apiserver.subresources import bind_pod, eviction_options, finalize_namespace
from tidegate.apiserver.unstored import read_all, read_one
from tidegate.apiserver.values import mapping
from tidegate.apiserver.versions import as_stored, served
from tidegate.apiserver.view import StoreView
from tidegate.apiserver.watching import Watch
from tidegate.kube.client import PatchType
from tidegate.kube.clock import Clock
from tidegate.kube.errors import BadRequest, NotFound
from tidegate.kube.objects import Key, Object, thaw
from tidegate.kube.resources import NAMESPACES, PODS

_DELETE_BATCH = 500
_READ_AND_CHANGE = ("get", "patch", "update")
_SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


class Api:
    """All verbs on all kinds.

    Objects passed in are owned by the API from then on; objects returned are shared and must not
    be changed. Every method raises `tidegate.kube.errors.ApiError` subclasses.

    Args:
        store: open.
        registry: the kinds served.
        authorizer: asked for every call.
        clock: for timestamps.
    """

    def __init__(
        self, store: Store, registry: Registry, authorizer: Authorizer, *, clock: Clock
    ) -> None:
        self.store = store
        self.registry = registry
        self.authorizer = authorizer
        self.clock = clock
        self.view = StoreView(store)
        self._admission = Admission(registry, self.view, clock)
        self._lister = Lister(store, clock)

    def authorize(
        self,
        context: RequestContext,
        verb: str,
        spec: KindSpec,
        *,
        subresource: str = "",
        namespace: str | None = None,
        name: str = "",
    ) -> None:
        """Raise Forbidden, in Kubernetes' words, unless the user may."""
        resource, user = spec.resource, context.user
        decision = self.authorizer.authorize(user, verb, resource, subresource, namespace, name)
        if decision.allowed:
            return
        plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
        scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        detail = (
            f'User "{user.name}" cannot {verb} resource "{plural}" in API group'
            f' "{resource.group}" {scope}'
        )
        if decision.reason:
            detail = f"{detail}: {decision.reason}"
        raise forbidden(resource, name, detail)

    async def get(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Stored:
        """One object; subresource `status` gives the object, `scale` its Scale."""
        self._begin(context, "get", spec, subresource, namespace, name)
        if spec.reader:
            return await read_one(spec, spec.reader, namespace, name)
        stored = self.store.get(spec.bucket, Key(namespace or "", name))
        if stored is None:
            raise not_found(spec.resource, name)
        return self._shown(spec, subresource, stored)

    def with_owners(self, spec: KindSpec, stored: Stored) -> Stored:
        """One object as clients see it who look at it alone: with all of its managedFields."""
        if MARK not in stored.raw:
            return stored
        shown = self._admission.with_owners(spec, stored.object)
        return Stored(shown, orjson.dumps(shown), stored.version, keep=False)

    async def list(
        self,
        context: RequestContext,
        spec: KindSpec,
        *,
        namespace: str | None = None,
        options: ListOptions | None = None,
    ) -> Listing:
        """The objects of a namespace, or of all with None."""
        options = options or ListOptions()
        name = exact_name(options.field_selector)
        self._begin(context, "list", spec, "", namespace, name)
        if spec.reader:
            version = self.store.version
            return await read_all(spec, spec.reader, namespace, options, version)
        return self._lister.list(spec, namespace, options)

    def watch(
        self,
        context: RequestContext,
        spec: KindSpec,
        *,
        namespace: str | None = None,
        options: WatchOptions | None = None,
    ) -> Watch:
        """Follow changes; the caller ends it by dropping it."""
        options = options or WatchOptions()
        name = exact_name(options.field_selector)
        self._begin(context, "watch", spec, "", namespace, name)
        return Watch(self.store, spec, namespace, options)

    async def create(
        self,
        context: RequestContext,
        spec: KindSpec,
        obj: Object,
        *,
        namespace: str | None = None,
        name: str = "",
        subresource: str = "",
    ) -> Stored:
        """A new object, or a POST to a subresource of object `name` (binding, eviction)."""
        namespace = namespace or _namespace_in(spec, obj)
        self._begin(context, "create", spec, subresource, namespace, name)
        if subresource:
            return await self._post_subresource(context, spec, name, obj, namespace, subresource)
        if spec.create_handler:
            answer = await spec.create_handler(context, self._admission.decode(context, spec, obj))
            return _transient(answer)
        return self._shown(spec, "", await self._create(context, spec, obj, namespace))

    async def update(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        obj: Object,
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Stored:
        """Replace an object, its status, its scale, or a namespace's finalizers (`finalize`)."""
        self._begin(context, "update", spec, subresource, namespace, name)
        key = Key(namespace or "", name)
        old = self._newest(spec, key)
        new = self._next(context, spec, obj, served(spec, old).object, namespace, subresource)
        stored = await self._replace(context, spec, key, new, old)
        return self._shown(spec, subresource, stored)

    async def put(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        obj: Object,
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> tuple[Stored, bool]:
        """Update, or make what is not there of kinds that allow it; the second value tells."""
        key = Key(namespace or "", name)
        there = self.store.newest(spec.bucket, key) is not None
        if there or subresource or not spec.create_on_update:
            updated = await self.update(
                context, spec, name, obj, namespace=namespace, subresource=subresource
            )
            return updated, False
        self._begin(context, "update", spec, "", namespace, name)
        self.authorize(context, "create", spec, namespace=namespace, name=name)
        _check_name(obj, name)
        metadata_of(obj).pop("resourceVersion", None)
        return self._shown(spec, "", await self._create(context, spec, obj, namespace)), True

    async def patch(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        patch: Any,
        patch_type: PatchType,
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> tuple[Stored, bool]:
        """Change parts of an object; the second value says whether it was made (apply only)."""
        self._begin(context, "patch", spec, subresource, namespace, name)
        key = Key(namespace or "", name)
        if patch_type is PatchType.APPLY:
            return await self._apply(context, spec, key, patch, subresource)
        old = self._newest(spec, key)
        target = self._shown(spec, subresource, old).object
        patched = apply_patch(
            self.registry, spec, target, patch, patch_type, subresource=subresource
        )
        live = served(spec, old).object
        new = self._next(context, spec, patched, live, namespace, subresource)
        stored = await self._replace(context, spec, key, new, old)
        return self._shown(spec, subresource, stored), False

    async def delete(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        *,
        namespace: str | None = None,
        options: DeleteOptions | None = None,
    ) -> Deletion:
        """Delete an object, or mark it where finalizers or a grace period hold it."""
        self._begin(context, "delete", spec, "", namespace, name)
        key = Key(namespace or "", name)
        return await self._delete(context, spec, key, options or DeleteOptions())

    async def delete_collection(
        self,
        context: RequestContext,
        spec: KindSpec,
        *,
        namespace: str | None = None,
        selection: ListOptions | None = None,
        options: DeleteOptions | None = None,
    ) -> list[Stored]:
        """Delete all that a list would give; returns what was deleted or marked."""
        selection = selection or ListOptions()
        name = exact_name(selection.field_selector)
        self._begin(context, "deletecollection", spec, "", namespace, name)
        listing = self._lister.list(spec, namespace, selection)
        wanted = options or DeleteOptions()
        deleted: list[Stored] = []
        for start in range(0, len(listing.items), _DELETE_BATCH):
            batch = listing.items[start : start + _DELETE_BATCH]
            # Together, so that one commit to the disk serves many.
            results = await asyncio.gather(
                *(self._delete(context, spec, Key(*item.sort_key), wanted) for item in batch),
                return_exceptions=True,
            )
            deleted.extend(_deleted(results))
        return deleted

    def _begin(
        self,
        context: RequestContext,
        verb: str,
        spec: KindSpec,
        subresource: str,
        namespace: str | None,
        name: str,
    ) -> None:
        if not subresource and verb not in spec.verbs:
            raise method_not_allowed(spec.resource, verb)
        if subresource:
            verbs = _subresources_of(spec).get(subresource)
            if verbs is None:
                raise no_such_resource()
            if verb not in verbs:
                raise method_not_allowed(spec.resource, f"{verb} of {subresource}")
        self.authorize(context, verb, spec, subresource=subresource, namespace=namespace, name=name)

    def _newest(self, spec: KindSpec, key: Key) -> Stored:
        stored = self.store.newest(spec.bucket, key)
        if stored is None:
            raise not_found(spec.resource, key.name)
        return stored

    def _next(
        self,
        context: RequestContext,
        spec: KindSpec,
        obj: Object,
        old: Object,
        namespace: str | None,
        subresource: str,
    ) -> Object:
        if subresource == "status":
            new = self._admission.update_status(context, spec, obj, old)
        elif subresource == "finalize":
            check_preconditions(spec, obj, old)
            new = finalize_namespace(obj, old)
        else:
            if subresource == "scale" and spec.scale:
                check_preconditions(spec, obj, old)
                obj = thaw(with_scale(spec.scale, old, obj))
            new = self._admission.update(context, spec, obj, old, namespace=namespace)
        self._admission.track(context, spec, new, old, subresource)
        return new

    async def _apply(
        self, context: RequestContext, spec: KindSpec, key: Key, config: Any, subresource: str
    ) -> tuple[Stored, bool]:
        if not isinstance(config, dict) or subresource not in ("", "status", "scale"):
            raise BadRequest("an apply configuration must be an object, its status or its scale")
        wanted = mapping(config)  # pyright: ignore[reportUnknownArgumentType]
        for field in ("apiVersion", "kind"):
            if not wanted.get(field):
                raise BadRequest(f"an apply configuration must have {field}")
        if subresource == "scale" and spec.scale:
            wanted = applied_scale(spec.resource, spec.scale, wanted)
        namespace = key.namespace or None
        _check_name(wanted, key.name)
        old = self.store.newest(spec.bucket, key)
        if old is None and subresource:
            raise not_found(spec.resource, key.name)
        live = served(spec, old).object if old else None
        applied = self._admission.applied(context, spec, wanted, live, subresource)
        if old is None:
            self.authorize(context, "create", spec, namespace=namespace, name=key.name)
            return await self._create(context, spec, applied, namespace), True
        managed = applied["metadata"]["managedFields"]
        main = "" if subresource == "scale" else subresource
        new = self._next(context, spec, applied, live or {}, namespace, main)
        new["metadata"]["managedFields"] = managed
        stored = await self._replace(context, spec, key, new, old)
        return self._shown(spec, subresource, stored), False

    async def _create(
        self, context: RequestContext, spec: KindSpec, obj: Object, namespace: str | None
    ) -> Stored:
        obj = self._admission.create(context, spec, obj, namespace)
        metadata = obj["metadata"]
        key = Key(metadata.get("namespace", ""), metadata["name"])
        if self.store.newest(spec.bucket, key) is not None:
            raise already_exists(spec.resource, key.name)
        obj = as_stored(spec, obj)
        if context.dry_run:
            return _transient(obj)
        return await self.store.put(spec.bucket, key, obj)

    async def _replace(
        self, context: RequestContext, spec: KindSpec, key: Key, new: Object, old: Stored
    ) -> Stored:
        new = as_stored(spec, new)
        new["metadata"]["resourceVersion"] = old.object["metadata"]["resourceVersion"]
        new["apiVersion"] = old.object["apiVersion"]
        finished = is_finished(spec, new)
        if new == old.object and not finished:
            await self.store.settled(spec.bucket, key)
            return old
        if context.dry_run:
            return _transient(new)
        if finished:
            return await self.store.delete(spec.bucket, key, new)
        return await self.store.put(spec.bucket, key, new)

    async def _delete(
        self, context: RequestContext, spec: KindSpec, key: Key, options: DeleteOptions
    ) -> Deletion:
        old = self._newest(spec, key)
        check_delete_preconditions(spec, old.object, options)
        if spec.default_propagation == "Orphan" and not options.propagation:
            context.warnings.append(
                f"child pods are preserved by default when {spec.resource.plural} are deleted; set"
                " propagationPolicy=Background to remove them or set propagationPolicy=Orphan to"
                " suppress this warning"
            )
        outcome = begin_delete(spec, old.object, options, self.clock.time())
        if context.dry_run:
            return Deletion(_transient(outcome.obj), outcome.remove)
        if outcome.remove:
            return Deletion(await self.store.delete(spec.bucket, key, outcome.obj), True)
        return Deletion(await self._replace(context, spec, key, outcome.obj, old), False)

    async def _post_subresource(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        obj: Object,
        namespace: str | None,
        subresource: str,
    ) -> Stored:
        key = Key(namespace or "", name)
        old = self._newest(spec, key)
        if spec.resource == PODS and subresource == "binding":
            new = bind_pod(old.object, obj, now=self._admission.now())
            await self._replace(context, spec, key, new, old)
            return _transient(_SUCCESS)
        if spec.resource == PODS and subresource == "eviction":
            await self._delete(context, spec, key, eviction_options(obj))
            return _transient(_SUCCESS)
        raise method_not_allowed(spec.resource, "create")

    def _shown(self, spec: KindSpec, subresource: str, stored: Stored) -> Stored:
        if subresource == "scale" and spec.scale:
            scale = scale_of(spec.scale, stored.object)
            return Stored(scale, orjson.dumps(scale), stored.version)
        return served(spec, stored)


def _check_name(obj: Object, name: str) -> None:
    named = metadata_of(obj).setdefault("name", name)
    if named != name:
        raise BadRequest(
            f"the name of the object ({named}) does not match the name on the URL ({name})"
        )


def _namespace_in(spec: KindSpec, obj: Object) -> str | None:
    if not spec.resource.namespaced:
        return None
    metadata = obj.get("metadata")
    return metadata.get("namespace") if isinstance(metadata, dict) else None  # pyright: ignore


def _subresources_of(spec: KindSpec) -> dict[str, tuple[str, ...]]:
    """The verbs of each subresource."""
    found = {name: verbs for name, _, verbs in spec.subresources}
    if spec.status_subresource:
        found["status"] = _READ_AND_CHANGE
    if spec.scale:
        found["scale"] = _READ_AND_CHANGE
    if spec.resource == NAMESPACES:
        found["finalize"] = ("update", "patch")
    return found


def _deleted(results: Iterable[Deletion | BaseException]) -> Iterator[Stored]:
    """What was deleted; what was gone before does not count, other refusals are raised."""
    for result in results:
        if isinstance(result, Deletion):
            yield result.stored
        elif not isinstance(result, NotFound):
            raise result


def _transient(obj: Object) -> Stored:
    return Stored(obj, orjson.dumps(obj), 0)
