"""From what a client sent to what may be stored: structure, metadata, defaults, validation.

Does no I/O and never waits, so that what it has seen still holds when the store takes the result.
"""

from __future__ import annotations

from tidegate.apiserver.patch.apply import Manager, server_side_apply, track_update
from tidegate.apiserver.patch.updates import (
    expanded,
    first_entry,
    is_brief,
    same_entries,
    track_briefly,
)
from tidegate.apiserver.refusals import conflict, forbidden
from tidegate.apiserver.registry import metadata
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.navigation import Place
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.registry.structure import StructureChecks
from tidegate.apiserver.requests import RequestContext
from tidegate.apiserver.view import StoreView
from tidegate.kube.clock import Clock, rfc3339
from tidegate.kube.errors import BadRequest, Cause, NotFound
from tidegate.kube.objects import Object, is_deleting, name_of, thaw, uid_of

# The manager of what the platform's own controllers change.
_OURSELVES = "tidegate"
_NOT_COUNTED = ("apiVersion", "kind", "metadata", "status")


class Admission:
    """Prepares objects for the store; owns what it is given and changes it in place."""

    def __init__(self, registry: Registry, view: StoreView, clock: Clock) -> None:
        self._registry = registry
        self._structure = StructureChecks(registry)
        self._view = view
        self._clock = clock

    def now(self) -> str:
        """The time of this request, as in `creationTimestamp`."""
        return rfc3339(self._clock.time())

    def decode(self, context: RequestContext, spec: KindSpec, obj: Object) -> Object:
        """Check kind and structure; drops or refuses unknown fields as the request says.

        Raises:
            BadRequest: it is another kind, a type is wrong, or in strict mode a field unknown.
        """
        set_type(spec, obj)
        self._structure.check(spec, obj, context)
        return obj

    def _decode_applied(self, context: RequestContext, spec: KindSpec, config: Object) -> Object:
        set_type(spec, config)
        self._structure.check_applied(spec, config, context)
        return config

    def create(
        self, context: RequestContext, spec: KindSpec, obj: Object, namespace: str | None
    ) -> Object:
        """A new object, complete and valid. Raises BadRequest, Invalid, Forbidden, NotFound."""
        obj = self.decode(context, spec, obj)
        metadata.prepare_create(spec, obj, namespace=namespace, now=self.now())
        if spec.resource.namespaced:
            self._check_namespace(spec, obj)
        if spec.status_subresource:
            obj.pop("status", None)
        obj = self._complete(context, spec, obj, None)
        self._begin_track(context, spec, obj)
        return obj

    def update(
        self,
        context: RequestContext,
        spec: KindSpec,
        obj: Object,
        old: Object,
        *,
        namespace: str | None,
    ) -> Object:
        """The next version of the main resource. Raises BadRequest, Invalid, Conflict."""
        obj = self.decode(context, spec, obj)
        check_preconditions(spec, obj, old, required=not spec.unconditional_update)
        metadata.prepare_update(spec, obj, old, namespace=namespace)
        if spec.status_subresource:
            restore(obj, old, "status")
        new = self._complete(context, spec, obj, old)
        return self._counted(spec, new, old)

    def update_status(
        self, context: RequestContext, spec: KindSpec, obj: Object, old: Object
    ) -> Object:
        """The old object with the status of `obj`, and of built-in types with its metadata.

        Raises:
            BadRequest, Invalid: it is malformed.
            Conflict: uid or resourceVersion differ.
        """
        obj = self.decode(context, spec, obj)
        check_preconditions(spec, obj, old, required=not spec.unconditional_update)
        new = {**old, "metadata": dict(old["metadata"])}
        if spec.strategic and obj["metadata"] != old["metadata"]:
            new["metadata"] = self._metadata_with_status(spec, obj, old)
        restore(new, obj, "status")
        if spec.custom:
            new = self._custom_status(spec, new, old)
        return new

    def _custom_status(self, spec: KindSpec, new: Object, old: Object) -> Object:
        """The status of a custom kind, as its schema wants it."""
        errors = FieldErrors()
        new = thaw(new)
        if spec.default:
            spec.default(new)
        if spec.validate:
            spec.validate(new, old, errors)
        errors.raise_for(spec.resource, new)
        return new

    def _metadata_with_status(self, spec: KindSpec, obj: Object, old: Object) -> Object:
        """What a write of the status may change of the metadata, as Kubernetes' types have it."""
        metadata.prepare_update(spec, obj, old, namespace=None)
        changed: Object = obj["metadata"]
        for name in spec.kept_by_status:
            restore(changed, old["metadata"], name)
        errors = FieldErrors()
        metadata.validate(spec, obj, old, errors)
        errors.raise_for(spec.resource, obj)
        return changed

    def applied(
        self,
        context: RequestContext,
        spec: KindSpec,
        config: Object,
        live: Object | None,
        subresource: str,
    ) -> Object:
        """What server-side apply makes of `live`, managedFields included; owned by the caller.

        Raises:
            BadRequest, Invalid: the configuration is malformed.
            Conflict: other managers own fields that it sets.
        """
        manager = Manager(context.field_manager, "Apply", spec.resource.api_version, subresource)
        if live is not None:
            live = self.with_owners(spec, live)
        result, managed = server_side_apply(
            live,
            self._decode_applied(context, spec, config),
            self._places(spec),
            manager,
            force=context.force,
            now=self.now(),
        )
        result = thaw(result)
        result["metadata"]["managedFields"] = managed
        return result

    def track(
        self, context: RequestContext, spec: KindSpec, new: Object, old: Object, subresource: str
    ) -> None:
        """Record in `new` who owns what has changed, where there is such a record."""
        if not new["metadata"].get("managedFields"):
            return
        name = context.field_manager or _OURSELVES
        manager = Manager(name, "Update", spec.resource.api_version, subresource)
        if is_brief(old) and same_entries(old, new):
            track_briefly(old, new, self._places(spec), manager, self.now())
            return
        managed = track_update(old, new, self._places(spec), manager, self.now())
        new["metadata"]["managedFields"] = managed

    def with_owners(self, spec: KindSpec, obj: Object) -> Object:
        """The object with all that its managedFields stand for."""
        if not is_brief(obj):
            return obj
        managed = expanded(obj, self._places(spec), status_apart=spec.status_subresource)
        return {**obj, "metadata": {**obj["metadata"], "managedFields": managed}}

    def _begin_track(self, context: RequestContext, spec: KindSpec, obj: Object) -> None:
        """Record in a new object who has made it, unless we have, or it has been applied."""
        if context.field_manager and not obj["metadata"].get("managedFields"):
            manager = Manager(context.field_manager, "Update", spec.resource.api_version)
            obj["metadata"]["managedFields"] = [first_entry(manager, self.now())]

    def _places(self, spec: KindSpec) -> Place:
        return self._registry.place(spec)

    def _complete(
        self, context: RequestContext, spec: KindSpec, obj: Object, old: Object | None
    ) -> Object:
        errors = FieldErrors()
        if spec.default:
            spec.default(obj)
        metadata.validate(spec, obj, old, errors)
        if spec.admit:
            errors.raise_for(spec.resource, obj)
            obj = spec.admit(obj, old, context.user.name)
        if spec.validate:
            spec.validate(obj, old, errors)
        if errors and old is not None and spec.strategic:
            errors.forgive(_problems(spec, old))
        if spec.prepare and not errors:
            spec.prepare(obj, old, self._view, errors)
        errors.raise_for(spec.resource, obj)
        if spec.warn:
            context.warnings.extend(spec.warn(obj))
        return obj

    def _counted(self, spec: KindSpec, new: Object, old: Object) -> Object:
        if spec.generation and _counted_part(new) != _counted_part(old):
            new["metadata"]["generation"] = int(old["metadata"].get("generation") or 1) + 1
        return new

    def _check_namespace(self, spec: KindSpec, obj: Object) -> None:
        name = obj["metadata"]["namespace"]
        namespace = self._view.namespace(name)
        if namespace is None:
            raise NotFound(f'namespaces "{name}" not found', resource="namespaces", name=name)
        if is_deleting(namespace):
            message = f"namespace {name} is being terminated"
            raise forbidden(
                spec.resource,
                str(obj["metadata"].get("name") or ""),
                f"unable to create new content in namespace {name} because it is being terminated",
                (Cause("NamespaceTerminating", message, "metadata.namespace"),),
            )


def _problems(spec: KindSpec, old: Object) -> FieldErrors:
    """What is wrong with an object already stored, e.g. by rules that came later: a change must
    not be refused for it, or finalizers could never be taken away."""
    known = FieldErrors()
    metadata.validate(spec, old, old, known)
    if spec.validate:
        spec.validate(old, old, known)
    return known


def set_type(spec: KindSpec, obj: Object) -> None:
    """Fill in kind and apiVersion where they are left out. Raises BadRequest on another kind."""
    resource = spec.resource
    kind = obj.setdefault("kind", resource.kind) or resource.kind
    version = obj.setdefault("apiVersion", resource.api_version) or resource.api_version
    if kind != resource.kind:
        raise BadRequest(
            f"{kind} in version {version!r} cannot be handled as a {resource.kind}:"
            f" expected kind {resource.kind}"
        )
    if version != resource.api_version:
        raise BadRequest(
            f"the API version in the data ({version}) does not match the expected API version"
            f" ({resource.api_version})"
        )
    obj["kind"], obj["apiVersion"] = kind, version


def check_preconditions(
    spec: KindSpec, obj: Object, old: Object, *, required: bool = False
) -> None:
    """The name must be that of the request; uid and resourceVersion, where given, must match.

    Raises:
        BadRequest: the names differ.
        Conflict: uid or resourceVersion differ.
        Invalid: the resourceVersion is `required` and not given.
    """
    given = metadata.metadata_of(obj)
    name = name_of(old)
    if given.setdefault("name", name) != name:
        raise BadRequest(
            f"the name of the object ({given['name']}) does not match the name on the URL ({name})"
        )
    uid = given.get("uid")
    if uid and uid != uid_of(old):
        raise conflict(
            spec.resource,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {uid_of(old)}",
        )
    version = given.get("resourceVersion")
    if not version and required:
        errors = FieldErrors()
        errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
        errors.raise_for(spec.resource, obj)
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(spec.resource, name)
    given["resourceVersion"] = old["metadata"]["resourceVersion"]


def restore(obj: Object, source: Object, name: str) -> None:
    """Make a top-level field of `obj` what it is in `source`."""
    if name in source:
        obj[name] = source[name]
    else:
        obj.pop(name, None)


def _counted_part(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in _NOT_COUNTED}
