"""What a delete makes of an object: gone at once, or marked until finalizers and grace are over."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.apiserver.options import DeleteOptions
from tidegate.apiserver.refusals import conflict, forbidden
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.values import section, strings
from tidegate.kube.clock import rfc3339
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object, is_deleting, name_of, resource_version_of, uid_of
from tidegate.kube.resources import NAMESPACES, PODS

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_DEFAULT_GRACE = 30
_IMMORTAL = ("default", "kube-public", "kube-system")
_POLICIES = ("", "Background", "Foreground", "Orphan")


@dataclass(frozen=True)
class Outcome:
    """`obj` is the next state; `remove` says that it is the last one."""

    obj: Object
    remove: bool


def check_delete_preconditions(spec: KindSpec, old: Object, options: DeleteOptions) -> None:
    """What must hold of an object that is to be deleted.

    Raises:
        Conflict: uid or resourceVersion are not those asked for.
        Forbidden: a namespace that Kubernetes cannot do without.
    """
    name = name_of(old)
    if spec.resource == NAMESPACES and name in _IMMORTAL:
        raise forbidden(spec.resource, name, "this namespace may not be deleted")
    if options.uid and options.uid != uid_of(old):
        raise conflict(
            spec.resource,
            name,
            f"Precondition failed: UID in precondition: {options.uid}, UID in object meta:"
            f" {uid_of(old)}",
        )
    if options.resource_version and options.resource_version != resource_version_of(old):
        raise conflict(
            spec.resource,
            name,
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version},"
            f" ResourceVersion in object meta: {resource_version_of(old)}",
        )


def begin_delete(spec: KindSpec, old: Object, options: DeleteOptions, now: float) -> Outcome:
    """The outcome of a delete at `now` (seconds since the epoch); `old` is not changed.

    Raises:
        BadRequest: an unknown propagation policy.
    """
    if options.propagation not in _POLICIES:
        raise BadRequest(
            f"invalid propagationPolicy {options.propagation!r}: must be one of Background,"
            " Foreground, Orphan"
        )
    metadata = dict(old["metadata"])
    obj: Object = {**old, "metadata": metadata}
    _set_finalizers(metadata, options.propagation or spec.default_propagation)
    grace = _grace(spec, old, options)
    if is_deleting(old):
        known = int(metadata.get("deletionGracePeriodSeconds") or 0)
        if grace < known:
            _mark(spec, metadata, now, grace)
    else:
        _mark(spec, metadata, now, grace)
        if spec.resource == NAMESPACES:
            obj["status"] = {**section(old, "status"), "phase": "Terminating"}
    return Outcome(obj, is_finished(spec, obj))


def is_finished(spec: KindSpec, obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left that holds it."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if spec.resource == NAMESPACES:
        return not section(obj, "spec").get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _mark(spec: KindSpec, metadata: Object, now: float, grace: int) -> None:
    metadata["deletionTimestamp"] = rfc3339(now + grace)
    metadata["deletionGracePeriodSeconds"] = grace
    if spec.generation:
        metadata["generation"] = int(metadata.get("generation") or 1) + 1


def _set_finalizers(metadata: Object, propagation: str) -> None:
    if not propagation:
        return
    finalizers = [f for f in strings(metadata.get("finalizers")) if f not in (FOREGROUND, ORPHAN)]
    if propagation == "Foreground":
        finalizers.append(FOREGROUND)
    elif propagation == "Orphan":
        finalizers.append(ORPHAN)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _grace(spec: KindSpec, old: Object, options: DeleteOptions) -> int:
    if spec.resource != PODS:
        return 0
    pod_spec: Object = old.get("spec") or {}
    phase = section(old, "status").get("phase")
    if not pod_spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    if options.grace_period_seconds is not None:
        return max(options.grace_period_seconds, 0)
    own = pod_spec.get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if own is None else int(own)
