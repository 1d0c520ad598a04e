"""The plain kinds of the core group: Namespace, Node, ConfigMap, Secret, ServiceAccount, Event."""

from __future__ import annotations

import base64
import re

from tidegate.apis.config_maps import admit_config_map
from tidegate.apiserver.registry.fielderrors import FieldErrors, join
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.values import ensure, mapping, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICE_ACCOUNTS,
)

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
    "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_DATA = 1024 * 1024
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


def _validate_config_map(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    data, binary = mapping(obj.get("data")), mapping(obj.get("binaryData"))
    _validate_keys("data", data, errors)
    _validate_keys("binaryData", binary, errors)
    for key in binary:
        if key in data:
            errors.invalid(join("binaryData", key), key, "duplicate of key present in data")
    _validate_size([*data.values(), *binary.values()], "", errors)
    _validate_unchanged(obj, old, ("data", "binaryData"), errors)


def _default_secret(obj: Object) -> None:
    texts = mapping(obj.pop("stringData", None))
    if texts:
        data = ensure(obj, "data")
        for key, value in texts.items():
            data[key] = base64.b64encode(str(value).encode()).decode()
    obj.setdefault("type", "Opaque")


def _validate_secret(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    data = mapping(obj.get("data"))
    _validate_keys("data", data, errors)
    _validate_size(list(data.values()), "data", errors)
    if old is not None:
        errors.immutable("type", old.get("type"), obj.get("type"))
    _validate_unchanged(obj, old, ("data",), errors)


def _validate_keys(path: str, data: Object, errors: FieldErrors) -> None:
    for key in data:
        if not _KEY.fullmatch(key) or key in (".", "..") or key.startswith("../"):
            errors.invalid(join(path, key), key, _KEY_MESSAGE)


def _validate_size(values: list[str], path: str, errors: FieldErrors) -> None:
    if sum(len(value) for value in values) > _MAX_DATA:
        errors.too_long(path, _MAX_DATA)


def _validate_unchanged(
    obj: Object, old: Object | None, fields: tuple[str, ...], errors: FieldErrors
) -> None:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        errors.forbidden("immutable", "field is immutable when `immutable` is set")
    for field in fields:
        if (obj.get(field) or {}) != (old.get(field) or {}):
            errors.forbidden(field, "field is immutable when `immutable` is set")


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
    ),
    builtin(
        NODES,
        "core",
        default=_default_node,
        status_subresource=True,
        selectable_fields=("spec.unschedulable",),
    ),
    builtin(CONFIG_MAPS, "core", validate=_validate_config_map, admit=admit_config_map),
    builtin(
        SECRETS,
        "core",
        default=_default_secret,
        validate=_validate_secret,
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
