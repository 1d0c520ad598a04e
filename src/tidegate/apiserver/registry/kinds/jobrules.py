"""The rules of a Job on failures and on success: their defaults and what makes them valid."""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import not_negative, placed, supported
from tidegate.apiserver.values import objects, section
from tidegate.kube.objects import Object

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_REPLACEMENTS = ("Failed", "TerminatingOrFailed")
_STATUSES = ("False", "True", "Unknown")
_MAX_RULES = 20
_MAX_CODES = 255
_INDEXES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*", re.ASCII)


def default_failure_policy(spec: Object) -> None:
    """How pods are replaced, and the status that a condition must have."""
    default = "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    if spec.get("podReplacementPolicy") is None:
        spec["podReplacementPolicy"] = default
    for rule in objects(section(spec, "podFailurePolicy").get("rules")):
        for pattern in objects(rule.get("onPodConditions")):
            pattern.setdefault("status", "True")


def validate_failure_policy(spec: Object, errors: FieldErrors) -> None:
    """`podFailurePolicy` and `podReplacementPolicy`."""
    supported(spec, "podReplacementPolicy", _REPLACEMENTS, "spec", errors)
    if not spec.get("podFailurePolicy"):
        return
    _never_restarted(spec, "podFailurePolicy", errors)
    if spec.get("podReplacementPolicy") == "TerminatingOrFailed":
        errors.not_supported("spec.podReplacementPolicy", "TerminatingOrFailed", ("Failed",))
    path = "spec.podFailurePolicy.rules"
    rules = objects(section(spec, "podFailurePolicy").get("rules"))
    if len(rules) > _MAX_RULES:
        errors.invalid(path, len(rules), f"must have at most {_MAX_RULES} items")
    names = {
        str(container.get("name"))
        for kind in ("initContainers", "containers")
        for container in objects(section(spec, "template", "spec").get(kind))
    }
    for where, rule in placed(rules, path):
        _validate_rule(rule, names, where, errors)
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            detail = "requires the backoffLimitPerIndex to be set"
            errors.invalid(f"{where}.action", "FailIndex", detail)


def _never_restarted(spec: Object, field: str, errors: FieldErrors) -> None:
    """Where this field is set, a container that has failed must not be started again."""
    restart = section(spec, "template", "spec").get("restartPolicy")
    if restart == "OnFailure":
        errors.invalid(
            "spec.template.spec.restartPolicy",
            restart,
            f'only "Never" is supported when {field} is specified',
        )


def _validate_rule(rule: Object, names: set[str], path: str, errors: FieldErrors) -> None:
    supported(rule, "action", _ACTIONS, path, errors)
    codes, patterns = rule.get("onExitCodes"), objects(rule.get("onPodConditions"))
    if bool(codes) == bool(patterns):
        errors.invalid(
            path,
            rule,
            "specifying one of OnExitCodes and OnPodConditions is required, and one only",
        )
    if codes:
        _validate_codes(section(rule, "onExitCodes"), names, f"{path}.onExitCodes", errors)
    for where, pattern in placed(patterns, f"{path}.onPodConditions"):
        if not pattern.get("type"):
            errors.required(f"{where}.type")
        supported(pattern, "status", _STATUSES, where, errors)


def _validate_codes(codes: Object, names: set[str], path: str, errors: FieldErrors) -> None:
    supported(codes, "operator", _OPERATORS, path, errors)
    values: list[int] = codes.get("values") or []
    if not 0 < len(values) <= _MAX_CODES:
        errors.invalid(f"{path}.values", values, f"must have 1 to {_MAX_CODES} items")
    elif values != sorted(set(values)):
        errors.invalid(f"{path}.values", values, "must be ordered and without duplicates")
    elif codes.get("operator") == "In" and 0 in values:
        errors.invalid(f"{path}.values", 0, "must not be 0 for the In operator")
    name = codes.get("containerName")
    if name and name not in names:
        errors.invalid(f"{path}.containerName", name, "must be one of the container names")


def validate_index_limits(spec: Object, errors: FieldErrors) -> None:
    """`backoffLimitPerIndex` and `maxFailedIndexes`."""
    limit, most = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    for name, value in (("backoffLimitPerIndex", limit), ("maxFailedIndexes", most)):
        not_negative(spec, name, "spec", errors)
        if value is not None and spec.get("completionMode") != "Indexed":
            errors.invalid(f"spec.{name}", value, "requires indexed completion mode")
    if most is not None and limit is None:
        errors.required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if most is not None and most > int(spec.get("completions") or most):
        detail = "must be less than or equal to completions"
        errors.invalid("spec.maxFailedIndexes", most, detail)
    if limit is not None:
        _never_restarted(spec, "backoffLimitPerIndex", errors)


def validate_success_policy(spec: Object, errors: FieldErrors) -> None:
    """`successPolicy`."""
    if not spec.get("successPolicy"):
        return
    path = "spec.successPolicy"
    if spec.get("completionMode") != "Indexed":
        errors.invalid(path, spec["successPolicy"], "requires indexed completion mode")
        return
    rules = objects(section(spec, "successPolicy").get("rules"))
    if not 0 < len(rules) <= _MAX_RULES:
        errors.invalid(f"{path}.rules", len(rules), f"must have 1 to {_MAX_RULES} items")
    for where, rule in placed(rules, f"{path}.rules"):
        count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and indexes is None:
            errors.required(
                where, "at least one of succeededCount or succeededIndexes must be specified"
            )
        if indexes is not None and not _INDEXES.fullmatch(str(indexes)):
            errors.invalid(f"{where}.succeededIndexes", indexes, "error parsing succeededIndexes")
        if count is not None and not 0 < count <= int(spec.get("completions") or 0):
            errors.invalid(
                f"{where}.succeededCount", count, "must be greater than 0 and at most completions"
            )
