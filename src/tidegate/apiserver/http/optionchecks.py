"""What options may be combined, refused as Kubernetes refuses them: 422 with a cause per option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.requests import FieldValidation
from tidegate.kube.resources import Resource

MAX_MANAGER_CHARS = 128
_MAX_DIGITS = 18
_MATCH = "resourceVersionMatch"
_SEND = "sendInitialEvents"
_POLICIES = ("Background", "Foreground", "Orphan", "nil")
_OPTIONS_OF = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}


def check_write(
    query: Mapping[str, str], dry_run: Sequence[str], *, verb: str, apply: bool = False
) -> None:
    """The options of a verb that changes something.

    Raises:
        Invalid: one is malformed, or not allowed for this verb.
    """
    errors = FieldErrors()
    if verb == "patch" and not apply and "force" in query:
        errors.forbidden("force", "may not be specified for non-apply patch")
    manager = query.get("fieldManager", "")
    if apply and not manager:
        errors.required("fieldManager", "is required for apply patch")
    _check_manager(manager, errors)
    if any(value != "All" for value in dry_run):
        errors.not_supported("dryRun", list(dry_run), ("All",))
    validation = query.get("fieldValidation")
    if validation and validation not in tuple(FieldValidation):
        errors.not_supported("fieldValidation", validation, ("", *FieldValidation))
    _refuse(_OPTIONS_OF.get(verb, "CreateOptions"), errors)


def check_list(query: Mapping[str, str]) -> None:
    """The versions that a list asks for. Raises Invalid."""
    errors = FieldErrors()
    match, version = query.get(_MATCH, ""), query.get("resourceVersion", "")
    if match:
        _check_match(match, errors)
        if query.get("continue"):
            errors.forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided")
        if not version:
            errors.forbidden(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided")
        if match == "Exact" and version == "0":
            errors.forbidden(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"')
    if _SEND in query:
        errors.forbidden(_SEND, f"{_SEND} is forbidden for list")
    _refuse("ListOptions", errors)


def check_watch(query: Mapping[str, str]) -> None:
    """The versions that a watch asks for. Raises Invalid."""
    errors = FieldErrors()
    match = query.get(_MATCH, "")
    if _SEND in query:
        if match != "NotOlderThan":
            errors.forbidden(_MATCH, f"{_SEND} requires setting {_MATCH} to NotOlderThan")
    elif match:
        errors.forbidden(_MATCH, f"{_MATCH} is forbidden for watch unless {_SEND} is provided")
    _refuse("ListOptions", errors)


def check_propagation(policy: str, orphan: bool | None) -> None:
    """How a delete treats dependents. Raises Invalid."""
    errors = FieldErrors()
    if policy and orphan is not None:
        errors.invalid(
            "propagationPolicy",
            policy,
            "orphanDependents and deletionPropagation cannot be both set",
        )
    if policy and policy not in _POLICIES[:3]:
        errors.not_supported("propagationPolicy", policy, _POLICIES)
    _refuse("DeleteOptions", errors)


def check_log(query: Mapping[str, str], pod: str) -> None:
    """Which part of a log is asked for. Raises Invalid."""
    errors = FieldErrors()
    for name, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        text = query.get(name, "")
        if (
            text.isascii()
            and text.removeprefix("-").isdecimal()
            and int(text[:_MAX_DIGITS]) < least
        ):
            than = "greater than or equal to 0" if least == 0 else "greater than 0"
            errors.invalid(name, int(text[:_MAX_DIGITS]), f"must be {than}")
    if query.get("sinceSeconds") and query.get("sinceTime"):
        detail = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        errors.forbidden("sinceTime", detail)
    options = Resource("", "v1", "PodLogOptions", "", False)
    errors.raise_for(options, {"metadata": {"name": pod}})


def _check_match(match: str, errors: FieldErrors) -> None:
    if match not in ("Exact", "NotOlderThan"):
        errors.not_supported(_MATCH, match, ("Exact", "NotOlderThan", ""))


def _check_manager(manager: str, errors: FieldErrors) -> None:
    if len(manager.encode()) > MAX_MANAGER_CHARS:
        errors.too_long("fieldManager", MAX_MANAGER_CHARS)
    if not manager.isprintable():
        errors.invalid("fieldManager", manager, "must consist of printable characters")


def _refuse(kind: str, errors: FieldErrors) -> None:
    errors.raise_for(Resource("meta.k8s.io", "v1", kind, "", False), {})
