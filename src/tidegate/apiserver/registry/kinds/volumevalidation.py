"""What makes volumes and their mounts valid, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import placed, supported, validate_name, within
from tidegate.apiserver.registry.kinds.variablevalidation import (
    FILE_FIELDS,
    validate_field,
    validate_resource_field,
)
from tidegate.apiserver.values import mapping, objects, section
from tidegate.kube.objects import Object
from tidegate.kube.quantities import parse_quantity

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_PROPAGATION = ("Bidirectional", "HostToContainer", "None")
_PROJECTED = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle")
_SHORTEST_TOKEN = 600
_LONGEST_TOKEN = 1 << 32
_NAMES = {
    "configMap": ("name",),
    "secret": ("secretName",),
    "hostPath": ("path",),
    "persistentVolumeClaim": ("claimName",),
}


def validate_volumes(volumes: list[Object], path: str, errors: FieldErrors) -> set[str]:
    """The volumes of a pod; returns their names."""
    names: set[str] = set()
    for where, volume in placed(volumes, path):
        validate_name(volume.get("name"), f"{where}.name", names, errors)
        sources = [name for name in volume if name != "name"]
        if not sources:
            errors.required(where, "must specify a volume type")
        for source in sources[1:]:
            errors.forbidden(f"{where}.{source}", "may not specify more than 1 volume type")
        for source in sources:
            _validate_source(source, mapping(volume[source]), f"{where}.{source}", errors)
    return names


def validate_mounts(container: Object, path: str, volumes: set[str], errors: FieldErrors) -> None:
    """The mounts of a container, of volumes with these names."""
    paths: set[str] = set()
    privileged = bool(section(container, "securityContext").get("privileged"))
    for where, mount in placed(objects(container.get("volumeMounts")), path):
        name, target = mount.get("name"), mount.get("mountPath")
        if not name:
            errors.required(f"{where}.name")
        elif name not in volumes:
            errors.not_found(f"{where}.name", name)
        if not target:
            errors.required(f"{where}.mountPath")
        elif target in paths:
            errors.invalid(f"{where}.mountPath", target, "must be unique")
        paths.add(str(target))
        _validate_part(mount, where, errors)
        supported(mount, "mountPropagation", _PROPAGATION, where, errors)
        if mount.get("mountPropagation") == "Bidirectional" and not privileged:
            errors.forbidden(
                f"{where}.mountPropagation",
                "Bidirectional mount propagation is available only to privileged containers",
            )


def _validate_part(mount: Object, path: str, errors: FieldErrors) -> None:
    """Which part of a volume is mounted."""
    for field in ("subPath", "subPathExpr"):
        value = mount.get(field)
        if value:
            _validate_descending(str(value), f"{path}.{field}", errors)
    if mount.get("subPath") and mount.get("subPathExpr"):
        errors.invalid(
            f"{path}.subPathExpr",
            mount["subPathExpr"],
            "subPathExpr and subPath are mutually exclusive",
        )


def _validate_descending(value: str, path: str, errors: FieldErrors) -> None:
    if value.startswith("/"):
        errors.invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        errors.invalid(path, value, "must not contain '..'")


def _validate_source(kind: str, source: Object, path: str, errors: FieldErrors) -> None:
    for field in _NAMES.get(kind, ()):
        if not source.get(field):
            errors.required(f"{path}.{field}")
    within(source, "defaultMode", path, errors, low=0, high=0o777, detail=_MODE)
    if kind in ("configMap", "secret"):
        _validate_items(source, path, errors)
    elif kind == "downwardAPI":
        _validate_downward(source, path, errors)
    elif kind == "projected":
        _validate_projected(source, path, errors)
    elif kind == "hostPath":
        supported(source, "type", _HOST_TYPES, path, errors)
        if ".." in str(source.get("path") or "").split("/"):
            errors.invalid(f"{path}.path", source["path"], "must not contain '..'")
    elif kind == "emptyDir" and parse_quantity(source.get("sizeLimit") or 0) < 0:
        detail = "SizeLimit field must be a valid resource quantity"
        errors.forbidden(f"{path}.sizeLimit", detail)


def _validate_items(source: Object, path: str, errors: FieldErrors) -> None:
    for where, item in placed(objects(source.get("items")), f"{path}.items"):
        if not item.get("key"):
            errors.required(f"{where}.key")
        _validate_file(item, where, errors)


def _validate_file(item: Object, path: str, errors: FieldErrors) -> None:
    target = str(item.get("path") or "")
    if not target:
        errors.required(f"{path}.path")
    else:
        _validate_descending(target, f"{path}.path", errors)
        if target.startswith("..") and not target.startswith("../"):
            errors.invalid(f"{path}.path", target, "must not start with '..'")
    within(item, "mode", path, errors, low=0, high=0o777, detail=_MODE)


def _validate_downward(source: Object, path: str, errors: FieldErrors) -> None:
    for item in objects(source.get("items")):
        _validate_file(item, path, errors)
        kinds = [kind for kind in ("fieldRef", "resourceFieldRef") if kind in item]
        if not kinds:
            errors.required(path, "fieldRef or resourceFieldRef is required")
        elif len(kinds) > 1:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.invalid(path, "resource", detail)
        elif "fieldRef" in item:
            validate_field(mapping(item["fieldRef"]), f"{path}.fieldRef", FILE_FIELDS, errors)
        else:
            where = f"{path}.resourceFieldRef"
            reference = mapping(item["resourceFieldRef"])
            validate_resource_field(reference, where, errors, in_volume=True)


def _validate_projected(source: Object, path: str, errors: FieldErrors) -> None:
    taken: set[str] = set()
    for where, part in placed(objects(source.get("sources")), f"{path}.sources"):
        kinds = [kind for kind in _PROJECTED if kind in part]
        if not kinds:
            errors.required(where, "must specify a projected volume source")
        elif len(kinds) > 1:
            errors.forbidden(where, "may not specify more than 1 volume type")
        for kind in kinds:
            projection = mapping(part[kind])
            _validate_projection(kind, projection, f"{where}.{kind}", errors)
            for file in _files(kind, projection):
                if file in taken:
                    errors.invalid(path, file, "conflicting duplicate paths")
                taken.add(file)


def _validate_projection(kind: str, part: Object, path: str, errors: FieldErrors) -> None:
    if kind in ("configMap", "secret"):
        if not part.get("name"):
            errors.required(f"{path}.name")
        _validate_items(part, path, errors)
    elif kind == "downwardAPI":
        _validate_downward(part, path, errors)
    elif kind == "serviceAccountToken":
        _validate_token(part, path, errors)


def _validate_token(part: Object, path: str, errors: FieldErrors) -> None:
    seconds = part.get("expirationSeconds")
    where = f"{path}.expirationSeconds"
    if seconds is not None and seconds < _SHORTEST_TOKEN:
        errors.invalid(where, seconds, "may not specify a duration less than 10 minutes")
    elif seconds is not None and seconds > _LONGEST_TOKEN:
        errors.invalid(where, seconds, "may not specify a duration larger than 2^32 seconds")
    if not part.get("path"):
        errors.required(f"{path}.path")
    else:
        _validate_descending(str(part["path"]), f"{path}.path", errors)


def _files(kind: str, part: Object) -> Iterator[str]:
    """The paths that a projection says itself."""
    if kind == "serviceAccountToken":
        entries: Iterable[Object] = (part,)
    else:
        entries = objects(part.get("items"))
    return (str(entry["path"]) for entry in entries if entry.get("path"))
