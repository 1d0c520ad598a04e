"""Condition sets as Knative keeps them: Ready follows from the conditions it depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.kube.objects import Object, condition_of, conditions_of, status_of, with_condition


@dataclass(frozen=True)
class Verdict:
    """What a condition says."""

    status: str
    reason: str = ""
    message: str = ""


TRUE = Verdict("True")
UNKNOWN = Verdict("Unknown")


def unknown(reason: str, message: str = "") -> Verdict:
    return Verdict("Unknown", reason, message)


def false(reason: str, message: str) -> Verdict:
    return Verdict("False", reason, message)


def verdict_of(obj: Object, condition_type: str) -> Verdict:
    """The verdict an object carries; Unknown where it carries none."""
    condition = condition_of(obj, condition_type)
    if condition is None:
        return UNKNOWN
    return Verdict(
        condition.get("status", "Unknown"),
        condition.get("reason") or "",
        condition.get("message") or "",
    )


def is_observed(obj: Object) -> bool:
    """Whether the status speaks of the object as it is now specified."""
    observed = status_of(obj).get("observedGeneration")
    return bool(observed == obj["metadata"].get("generation", 0))


def is_ready(obj: Object) -> bool:
    """Whether an object is ready as it is now specified."""
    return is_observed(obj) and verdict_of(obj, "Ready").status == "True"


def aggregate(verdicts: Sequence[Verdict]) -> Verdict:
    """Ready: the first failure, else the first doubt, else True."""
    for status in ("False", "Unknown"):
        for verdict in verdicts:
            if verdict.status == status:
                return verdict
    return TRUE


def conditions(
    obj: Object, verdicts: Mapping[str, Verdict], *, dependants: Sequence[str], now: str
) -> list[Object]:
    """The conditions of `obj` with `verdicts` and the Ready that follows, sorted by type.

    Args:
        verdicts: by condition type; Ready only where nothing else decides it.
        dependants: the types that decide Ready; others are informational.
        now: RFC 3339.
    """
    decided = dict(verdicts)
    if dependants:
        decided["Ready"] = aggregate([verdicts[kind] for kind in dependants])
    result = [item for item in conditions_of(obj) if item.get("type") in decided]
    for kind, verdict in decided.items():
        condition: Object = {"type": kind, "status": verdict.status}
        if kind != "Ready" and kind not in dependants:
            condition["severity"] = "Info"
        if verdict.reason:
            condition["reason"] = verdict.reason
        if verdict.message:
            condition["message"] = verdict.message
        result = with_condition(result, condition, now=now)
    return sorted(result, key=lambda item: str(item["type"]))
