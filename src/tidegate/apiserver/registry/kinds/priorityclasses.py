"""PriorityClass: its defaults, what makes it valid, and the two that every cluster has."""

from __future__ import annotations

from tidegate.apiserver.refusals import forbidden
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import supported
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.spec import ClusterView
from tidegate.kube.objects import Object, name_of
from tidegate.kube.resources import PRIORITY_CLASSES

PREEMPTS = "PreemptLowerPriority"
_POLICIES = ("Never", PREEMPTS)
_HIGHEST = 1_000_000_000
_RESERVED = "system-"
_SYSTEM = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another"
        " node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}


def system_classes() -> list[Object]:
    """Those that are there from the start."""
    return [
        {
            "apiVersion": PRIORITY_CLASSES.api_version,
            "kind": PRIORITY_CLASSES.kind,
            "metadata": {"name": name},
            "value": value,
            "description": description,
        }
        for name, (value, description) in _SYSTEM.items()
    ]


def default_class(view: ClusterView) -> Object | None:
    """The class of the pods that name none, if there is one."""
    return next((one for one in view.all(PRIORITY_CLASSES) if one.get("globalDefault")), None)


def _default(obj: Object) -> None:
    obj.setdefault("value", 0)
    obj.setdefault("preemptionPolicy", PREEMPTS)


def _validate(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    name = name_of(obj)
    problem = _reserved_problem(obj) if name.startswith(_RESERVED) else ""
    if problem:
        errors.forbidden(
            "metadata.name",
            "priority class names with 'system-' prefix are reserved for system use only."
            f" error: {problem}",
        )
    elif name not in _SYSTEM and obj["value"] > _HIGHEST:
        detail = f"maximum allowed value of a user defined priority is {_HIGHEST}"
        errors.forbidden("value", detail)
    supported(obj, "preemptionPolicy", _POLICIES, "", errors)
    if old is not None:
        if obj["value"] != old["value"]:
            errors.forbidden("value", "may not be changed in an update.")
        errors.immutable("preemptionPolicy", old["preemptionPolicy"], obj["preemptionPolicy"])


def _reserved_problem(obj: Object) -> str:
    name = name_of(obj)
    if name not in _SYSTEM:
        return f"{name} is not a known system priority class"
    if obj["value"] != _SYSTEM[name][0]:
        return f"value of {name} PriorityClass must be {_SYSTEM[name][0]}"
    if obj.get("globalDefault"):
        return f"globalDefault of {name} PriorityClass must be false"
    return ""


def _prepare(obj: Object, _: Object | None, view: ClusterView, __: FieldErrors) -> None:
    """Let there be one default.

    Raises:
        Forbidden: there is another.
    """
    known = default_class(view) if obj.get("globalDefault") else None
    if known is not None and name_of(known) != name_of(obj):
        raise forbidden(
            PRIORITY_CLASSES,
            name_of(obj),
            f"PriorityClass {name_of(known)} is already marked as default."
            " Only one default can exist",
        )


PRIORITY_CLASS_KINDS = (
    builtin(PRIORITY_CLASSES, "scheduling", default=_default, validate=_validate, prepare=_prepare),
)
