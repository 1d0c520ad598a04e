"""Checks an object's shape against its model, with the words of a Kubernetes API server."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from tidegate.apis.types.base import Model
from tidegate.kube.errors import BadRequest, Cause, Invalid
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource

# Fields of Kubernetes' own types that Knative keeps from its users, by the list they are in.
_DISALLOWED = {
    "containers": frozenset({"lifecycle", "stdin", "stdinOnce", "tty", "volumeDevices"}),
    "ports": frozenset({"hostPort", "hostIP"}),
    "securityContext": frozenset({"procMount", "seLinuxOptions", "windowsOptions"}),
    "volumeMounts": frozenset({"subPathExpr", "recursiveReadOnly"}),
    "spec": frozenset(
        {
            "activeDeadlineSeconds",
            "ephemeralContainers",
            "hostUsers",
            "hostname",
            "nodeName",
            "os",
            "overhead",
            "preemptionPolicy",
            "priority",
            "readinessGates",
            "resourceClaims",
            "restartPolicy",
            "schedulingGates",
            "serviceAccount",
            "setHostnameAsFQDN",
            "subdomain",
            "terminationGracePeriodSeconds",
        }
    ),
}
_TYPES = {
    "bool_type": "boolean",
    "dict_type": "object",
    "int_type": "integer",
    "int_from_float": "integer",
    "list_type": "array",
    "model_type": "object",
    "string_type": "string",
}
_JSON_TYPES: dict[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
}
# pydantic names the member of a union that it tried; that is no part of the path.
_UNION_MEMBERS = frozenset({"int", "str", "float"})


def check_structure(obj: Object, model: type[Model], resource: Resource) -> list[str]:
    """Check everything but metadata and status.

    Returns:
        The paths of fields that Kubernetes knows and Knative does not allow.

    Raises:
        BadRequest: a field is unknown.
        Invalid: a value has the wrong type.
    """
    try:
        model.model_validate({"spec": obj.get("spec")})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
    else:
        return []
    disallowed: list[str] = []
    unknown: list[str] = []
    wrong: dict[str, Cause] = {}
    for problem in problems:
        location = tuple(part for part in problem["loc"] if part not in _UNION_MEMBERS)
        path = field_path(location)
        if problem["type"] != "extra_forbidden":
            kind = problem["type"] if location == problem["loc"] else "union"
            wrong.setdefault(path, _type_cause(path, kind, problem["input"]))
        elif _is_disallowed(location):
            disallowed.append(path)
        else:
            unknown.append(path)
    if unknown:
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: "
            + ", ".join(f'unknown field "{path}"' for path in unknown)
        )
    if wrong:
        raise _wrong_types(obj, resource, list(wrong.values()))
    return disallowed


def field_path(location: tuple[int | str, ...]) -> str:
    """`("spec", "traffic", 0, "tag")` as `spec.traffic[0].tag`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _is_disallowed(location: tuple[int | str, ...]) -> bool:
    holders = [part for part in location[:-1] if isinstance(part, str)]
    holder = holders[-1] if holders else ""
    if holder == "initContainers":
        holder = "containers"
    return location[-1] in _DISALLOWED.get(holder, ()) and len(holders) > (holder == "spec")


def _type_cause(path: str, kind: str, value: Any) -> Cause:
    expected = _TYPES.get(kind, "integer or string")
    actual = _json_type(value)
    message = f'Invalid value: "{actual}": {path} in body must be of type {expected}: "{actual}"'
    return Cause("FieldValueTypeInvalid", message, path)


def _json_type(value: Any) -> str:
    for cls, name in _JSON_TYPES.items():
        if isinstance(value, cls):
            return name
    return "null"


def _wrong_types(obj: Object, resource: Resource, causes: list[Cause]) -> Invalid:
    name = obj["metadata"].get("name") or ""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listing = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Invalid(
        f'{resource.kind}.{resource.group} "{name}" is invalid: {listing}',
        resource=resource.kind,
        group=resource.group,
        name=name,
        causes=causes,
    )
