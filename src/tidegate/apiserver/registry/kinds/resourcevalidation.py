"""What makes the resources of a container valid, in Kubernetes' words."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors, join, key
from tidegate.apiserver.registry.kinds.checks import validate_text
from tidegate.apiserver.registry.names import qualified_problem
from tidegate.apiserver.values import mapping
from tidegate.kube.objects import Object
from tidegate.kube.quantities import parse_quantity

_OF_CONTAINERS = ("cpu", "memory", "ephemeral-storage")
_OF_NAMESPACES = (
    "pods",
    "services",
    "secrets",
    "configmaps",
    "storage",
    "persistentvolumeclaims",
    "resourcequotas",
    "replicationcontrollers",
)
_HUGE_PAGES = "hugepages-"


def validate_resources(resources: Object, path: str, errors: FieldErrors) -> None:
    """Names and amounts of limits and requests, and that the two go together."""
    limits, requests = mapping(resources.get("limits")), mapping(resources.get("requests"))
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            where = key(f"{path}.{field}", name)
            _validate_resource_name(name, where, errors)
            if parse_quantity(amount) < 0:
                shown = join(f"{path}.{field}", name)
                errors.invalid(shown, amount, "must be greater than or equal to 0")
            elif _is_extended(name) and parse_quantity(amount).denominator != 1:
                errors.invalid(where, amount, "must be an integer")
    for name, amount in requests.items():
        _validate_request(name, amount, limits, path, errors)


def _validate_request(
    name: str, amount: str, limits: Object, path: str, errors: FieldErrors
) -> None:
    fixed = _is_extended(name) or name.startswith(_HUGE_PAGES)
    if name not in limits:
        if fixed:
            detail = "Limit must be set for non overcommitable resources"
            errors.required(f"{path}.limits", detail)
        return
    wanted, most = parse_quantity(amount), parse_quantity(limits[name])
    if wanted > most:
        detail = f"must be less than or equal to {name} limit of {limits[name]}"
        errors.invalid(f"{path}.requests", amount, detail)
    elif fixed and wanted != most:
        errors.invalid(
            f"{path}.requests", amount, f"must be equal to {name} limit of {limits[name]}"
        )


def _validate_resource_name(name: str, path: str, errors: FieldErrors) -> None:
    validate_text(name, qualified_problem, path, errors)
    if "/" in name or name in _OF_CONTAINERS or name.startswith(_HUGE_PAGES):
        return
    if name not in _OF_NAMESPACES:
        errors.invalid(path, name, "must be a standard resource type or fully qualified")
    errors.invalid(path, name, "must be a standard resource for containers")


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name
