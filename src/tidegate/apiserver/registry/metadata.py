"""`metadata`: what the server sets, what must not change, and its validation."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Iterator
from typing import Any

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.names import (
    NAME_RULES,
    qualified_problem,
    validate_annotations,
    validate_labels,
)
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.values import objects
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_MAX_GENERATED_BASE = 63 - _SUFFIX_LENGTH
_UID_BYTES = 16
_UIDS_DRAWN = 256
_OWN_FINALIZERS = (
    "kubernetes",
    "orphan",
    "foregroundDeletion",
    "customresourcecleanup.apiextensions.k8s.io",
)
_SERVER_SET = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)


def generate_name(base: str) -> str:
    """A name from `generateName`: the base, cut where needed, and five random characters."""
    kinds = len(_SUFFIX_ALPHABET)
    # One draw for all of them, for with each this thread gives the interpreter's lock away.
    drawn = secrets.randbelow(kinds**_SUFFIX_LENGTH)
    places = (drawn // kinds**place for place in range(_SUFFIX_LENGTH))
    return base[:_MAX_GENERATED_BASE] + "".join(_SUFFIX_ALPHABET[p % kinds] for p in places)


def _uids() -> Iterator[str]:
    """New uids for ever.

    Drawn many at once, for the same reason.
    """
    while True:
        drawn = os.urandom(_UIDS_DRAWN * _UID_BYTES)
        for start in range(0, len(drawn), _UID_BYTES):
            yield str(uuid.UUID(bytes=drawn[start : start + _UID_BYTES], version=4))


_UIDS = _uids()


def prepare_create(spec: KindSpec, obj: Object, *, namespace: str | None, now: str) -> None:
    """Fill what the server sets on a new object, in place.

    Raises:
        BadRequest: the namespaces of the object and of the request differ.
    """
    metadata = metadata_of(obj)
    if metadata.get("resourceVersion") not in (None, ""):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    _set_namespace(spec, metadata, namespace)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(str(metadata["generateName"]))
    for name in ("selfLink", "resourceVersion", *_SERVER_SET):
        metadata.pop(name, None)
    metadata["uid"] = next(_UIDS)
    metadata["creationTimestamp"] = now
    if spec.generation:
        metadata["generation"] = 1
    _drop_empty(metadata)


def prepare_update(spec: KindSpec, obj: Object, old: Object, *, namespace: str | None) -> None:
    """Carry over what only the server sets, in place; what was sent and differs is refused later.

    Raises:
        BadRequest: the namespaces of the object and of the request differ.
    """
    metadata = metadata_of(obj)
    _set_namespace(spec, metadata, namespace)
    metadata.pop("selfLink", None)
    before = old["metadata"]
    for name in _SERVER_SET:
        if name in before and (name not in ("uid", "creationTimestamp") or not metadata.get(name)):
            metadata[name] = before[name]
        elif name not in before:
            metadata.pop(name, None)
    _keep_managers(metadata, before)
    if "generateName" in before:
        metadata["generateName"] = before["generateName"]
    _drop_empty(metadata)


def validate(spec: KindSpec, obj: Object, old: Object | None, errors: FieldErrors) -> None:
    """Names, labels, annotations, finalizers and owners; on update also what must not change."""
    metadata = obj["metadata"]
    _validate_name(spec, metadata, errors)
    if old is None:
        _validate_base(spec, metadata.get("generateName"), errors)
    validate_labels(metadata.get("labels"), "metadata.labels", errors)
    validate_annotations(metadata.get("annotations"), "metadata.annotations", errors)
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        problem = qualified_problem(str(finalizer))
        if spec.strategic and not problem and "/" not in finalizer:
            problem = _finalizer_problem(str(finalizer))
        if problem:
            errors.invalid(f"metadata.finalizers[{index}]", finalizer, problem)
    _validate_owners(metadata.get("ownerReferences") or [], errors)
    if old is not None:
        before = old["metadata"]
        for name in ("name", "namespace", "uid", "creationTimestamp"):
            errors.immutable(f"metadata.{name}", before.get(name), metadata.get(name))
        _validate_finalizers_while_deleting(metadata, before, errors)


def metadata_of(obj: Object) -> dict[str, Any]:
    """The metadata of an object that came from outside.

    Raises:
        BadRequest: it is no mapping.
    """
    metadata = obj.setdefault("metadata", {})
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise BadRequest("metadata: must be an object")
    return metadata  # pyright: ignore[reportUnknownVariableType]


def _set_namespace(spec: KindSpec, metadata: dict[str, Any], namespace: str | None) -> None:
    if not spec.resource.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.get("namespace") or namespace
    if not given:
        raise BadRequest("an empty namespace may not be set during creation")
    if namespace and given != namespace:
        raise BadRequest(
            f"the namespace of the provided object does not match the namespace sent on the"
            f" request: {given!r} and {namespace!r}"
        )
    metadata["namespace"] = given


def _keep_managers(metadata: dict[str, Any], before: dict[str, Any]) -> None:
    """What is left out stays; what is sent replaces, as kubectl does to hand fields over; a list
    of nothing, `[]` or `[{}]`, ends the record."""
    sent = metadata.get("managedFields")
    if sent is None and before.get("managedFields"):
        metadata["managedFields"] = before["managedFields"]
    elif not any(objects(sent)):
        metadata.pop("managedFields", None)


def _drop_empty(metadata: dict[str, Any]) -> None:
    for name in ("labels", "annotations", "finalizers", "ownerReferences", "managedFields"):
        if name in metadata and not metadata[name]:
            del metadata[name]


def _validate_name(spec: KindSpec, metadata: dict[str, Any], errors: FieldErrors) -> None:
    name = metadata.get("name")
    if not name:
        errors.required("metadata.name", "name or generateName is required")
        return
    if not isinstance(name, str):
        errors.type_invalid("metadata.name", name, "must be a string")
        return
    problem = NAME_RULES[spec.name_rule](name)
    if problem:
        errors.invalid("metadata.name", name, problem)


def _validate_base(spec: KindSpec, base: Any, errors: FieldErrors) -> None:
    """`generateName` must begin a name; it may end where a name may not."""
    problem = NAME_RULES[spec.name_rule](f"{str(base).rstrip('-.')}a") if base else None
    if problem:
        errors.invalid("metadata.generateName", base, problem)


def _finalizer_problem(name: str) -> str | None:
    """Why built-in kinds cannot have a finalizer without a domain, or None."""
    if name in _OWN_FINALIZERS:
        return None
    return "name is neither a standard finalizer name nor is it fully qualified"


def _validate_owners(owners: list[Object], errors: FieldErrors) -> None:
    controllers = 0
    for index, owner in enumerate(owners):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                errors.invalid(f"metadata.ownerReferences[{index}].{name}", "", "must not be empty")
        controllers += 1 if owner.get("controller") else 0
    if controllers > 1:
        errors.invalid(
            "metadata.ownerReferences", owners, "Only one reference can have Controller set to true"
        )


def _validate_finalizers_while_deleting(
    metadata: dict[str, Any], before: dict[str, Any], errors: FieldErrors
) -> None:
    if not before.get("deletionTimestamp"):
        return
    added = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if added:
        errors.forbidden(
            "metadata.finalizers",
            f"no new finalizers can be added if the object is being deleted, found new"
            f" finalizers {sorted(added)}",
        )
