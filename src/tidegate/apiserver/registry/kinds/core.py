"""The plain kinds of the core group: Namespace, Node, ConfigMap, Secret, ServiceAccount, Event."""

from __future__ import annotations

from tidegate.apis.config_maps import admit_config_map
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.fielderrors import key as entry
from tidegate.apiserver.registry.kinds.checks import placed
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.kinds.data import (
    validate_keys,
    validate_size,
    validate_unchanged,
)
from tidegate.apiserver.registry.kinds.scheduling import validate_taint
from tidegate.apiserver.registry.kinds.secrets import default_secret, validate_secret
from tidegate.apiserver.registry.spec import ALL_VERBS
from tidegate.apiserver.values import ensure, mapping, objects, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICE_ACCOUNTS,
)

_NAME_LABEL = "kubernetes.io/metadata.name"


def _default_namespace(obj: Object) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        ensure(metadata, "labels")[_NAME_LABEL] = metadata["name"]
    if not metadata.get("deletionTimestamp"):
        ensure(obj, "spec").setdefault("finalizers", ["kubernetes"])
    ensure(obj, "status").setdefault("phase", "Active")


def _default_node(obj: Object) -> None:
    ensure(obj, "spec")
    ensure(obj, "status")


def _validate_node(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    taken: set[tuple[str, str]] = set()
    for path, taint in placed(objects(section(obj, "spec").get("taints")), "metadata.taints"):
        validate_taint(taint, path, errors)
        identity = (str(taint.get("key")), str(taint.get("effect")))
        if identity in taken:
            errors.duplicate(path, taint)
        taken.add(identity)


def _validate_config_map(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    data, binary = mapping(obj.get("data")), mapping(obj.get("binaryData"))
    validate_keys("data", data, errors)
    validate_keys("binaryData", binary, errors)
    for key in binary:
        if key in data:
            errors.invalid(entry("binaryData", key), key, "duplicate of key present in data")
    validate_size([*data.values(), *binary.values()], "[]", errors)
    validate_unchanged(obj, old, ("data", "binaryData"), errors)


def _validate_event(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    involved = section(obj, "involvedObject").get("namespace") or "default"
    if involved != obj["metadata"].get("namespace"):
        errors.invalid("involvedObject.namespace", involved, "does not match event.namespace")


CORE_KINDS = (
    builtin(
        NAMESPACES,
        "core",
        default=_default_namespace,
        status_subresource=True,
        subresources=(("finalize", "Namespace", ("update",)),),
        selectable_fields=("status.phase",),
        name_rule="label",
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
    ),
    builtin(
        NODES,
        "core",
        default=_default_node,
        validate=_validate_node,
        status_subresource=True,
        selectable_fields=("spec.unschedulable",),
    ),
    builtin(CONFIG_MAPS, "core", validate=_validate_config_map, admit=admit_config_map),
    builtin(
        SECRETS,
        "core",
        default=default_secret,
        validate=validate_secret,
        selectable_fields=("type",),
    ),
    builtin(
        SERVICE_ACCOUNTS,
        "core",
        subresources=(("token", "TokenRequest", ("create",)),),
    ),
    builtin(
        EVENTS,
        "core",
        validate=_validate_event,
        create_on_update=True,
        selectable_fields=(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ),
    ),
)
