"""What makes environment variables and references to a pod's fields valid, in Kubernetes' words."""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import form, placed
from tidegate.apiserver.registry.kinds.data import key_problem
from tidegate.apiserver.registry.names import qualified_problem, subdomain_problem
from tidegate.apiserver.values import mapping, objects, section
from tidegate.kube.objects import Object

VARIABLE_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
FILE_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_KNOWN_FIELDS = {
    *VARIABLE_FIELDS,
    *FILE_FIELDS,
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
}
_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")
_RESOURCES = tuple(
    f"{kind}.{name}"
    for kind in ("limits", "requests")
    for name in ("cpu", "memory", "ephemeral-storage")
)
_NAME_MESSAGE = (
    "a valid environment variable name must consist only of printable ASCII characters other than"
    " '='"
)
_ONLY_ONE = "may not have more than one field specified at a time"


def validate_environment(container: Object, path: str, errors: FieldErrors) -> None:
    """`env` and `envFrom` of a container at `path`."""
    for where, variable in placed(objects(container.get("env")), f"{path}.env"):
        _validate_variable(variable, where, errors)
    for where, source in placed(objects(container.get("envFrom")), f"{path}.envFrom"):
        _validate_bulk(source, where, f"{path}.envFrom", errors)


def validate_field(
    reference: Object, path: str, allowed: tuple[str, ...], errors: FieldErrors
) -> None:
    """A `fieldRef`, which may name these fields, or one label or annotation."""
    field = str(reference.get("fieldPath") or "")
    where = f"{path}.fieldPath"
    entry = _SUBSCRIPT.fullmatch(field)
    if not field:
        errors.required(where)
    elif entry:
        problem = qualified_problem(entry[2].lower() if "anno" in entry[1] else entry[2])
        if problem:
            errors.invalid(where, field, problem)
    elif field not in _KNOWN_FIELDS:
        detail = f"error converting fieldPath: field label not supported: {field}"
        errors.invalid(where, field, detail)
    elif field not in allowed:
        errors.not_supported(where, field, allowed)


def validate_resource_field(
    reference: Object, path: str, errors: FieldErrors, *, in_volume: bool
) -> None:
    """A `resourceFieldRef`; in a volume it must name its container."""
    resource = str(reference.get("resource") or "")
    if in_volume and not reference.get("containerName"):
        errors.required(f"{path}.containerName")
    elif not resource:
        errors.required(f"{path}.resource")
    elif resource not in _RESOURCES and ".hugepages-" not in resource:
        errors.not_supported(f"{path}.resource", resource, _RESOURCES)


def _validate_variable(variable: Object, path: str, errors: FieldErrors) -> None:
    name = variable.get("name")
    if not name:
        errors.required(f"{path}.name")
    elif not _is_variable(str(name)):
        errors.invalid(f"{path}.name", name, _NAME_MESSAGE)
    if "valueFrom" not in variable:
        return
    source, path = section(variable, "valueFrom"), f"{path}.valueFrom"
    if variable.get("value"):
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    if not source:
        errors.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or"
            " `secretKeyRef`",
        )
    elif len(source) > 1:
        errors.invalid(path, "", _ONLY_ONE)
    if "fieldRef" in source:
        validate_field(mapping(source["fieldRef"]), f"{path}.fieldRef", VARIABLE_FIELDS, errors)
    if "resourceFieldRef" in source:
        where = f"{path}.resourceFieldRef"
        validate_resource_field(mapping(source["resourceFieldRef"]), where, errors, in_volume=False)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            _validate_entry(mapping(source[kind]), f"{path}.{kind}", errors)


def _validate_entry(reference: Object, path: str, errors: FieldErrors) -> None:
    form(reference, "name", subdomain_problem, path, errors)
    if not reference.get("key"):
        errors.required(f"{path}.key")
    else:
        form(reference, "key", key_problem, path, errors)


def _validate_bulk(source: Object, path: str, all_at: str, errors: FieldErrors) -> None:
    """An entry of `envFrom`; Kubernetes finds some of its faults in the whole list at `all_at`."""
    prefix = source.get("prefix")
    if prefix and not _is_variable(str(prefix)):
        errors.invalid(f"{path}.prefix", prefix, _NAME_MESSAGE)
    kinds = [kind for kind in ("configMapRef", "secretRef") if kind in source]
    if not kinds:
        errors.invalid(all_at, "", "must specify one of: `configMapRef` or `secretRef`")
    elif len(kinds) > 1:
        errors.invalid(all_at, "", _ONLY_ONE)
    for kind in kinds:
        reference = mapping(source[kind])
        if not reference.get("name"):
            errors.required(f"{path}.{kind}.name")
        form(reference, "name", subdomain_problem, f"{path}.{kind}", errors)


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isprintable() and "=" not in name
