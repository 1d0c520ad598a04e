"""The rules of a Job: which failures end it or do not count, which indexes are enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tidegate.kube.objects import Object
from tidegate.workloads.jobs.indexes import parse_indexes

FAIL_JOB, FAIL_INDEX, IGNORE = "FailJob", "FailIndex", "Ignore"


@dataclass(frozen=True)
class Failure:
    """How a pod has failed.

    Attributes:
        pod: namespace and name.
        codes: container and exit code of those that failed.
        conditions: type and status.
    """

    pod: str = ""
    codes: tuple[tuple[str, int], ...] = ()
    conditions: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class FailureRule:
    """A rule by exit codes, with an `operator`, or by conditions."""

    action: str
    operator: str = ""
    container: str = ""
    codes: frozenset[int] = frozenset()
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SuccessRule:
    """Which indexes, None for all, and how many of them, None for every one."""

    indexes: frozenset[int] | None
    count: int | None


@dataclass(frozen=True)
class Verdict:
    """What the first rule that matches makes of a failure."""

    action: str
    message: str


def judge(rules: Sequence[FailureRule], failure: Failure) -> Verdict | None:
    """The verdict of the first rule that matches; None counts the failure."""
    for index, rule in enumerate(rules):
        found = _match(rule, failure)
        if found:
            return Verdict(rule.action, f"{found} matching {rule.action} rule at index {index}")
    return None


def satisfied(rules: Sequence[SuccessRule], completed: Collection[int]) -> int | None:
    """The index of the first rule that the completed indexes satisfy."""
    for index, rule in enumerate(rules):
        reached = set(completed) if rule.indexes is None else rule.indexes & set(completed)
        wanted = rule.count
        if wanted is None:
            wanted = len(rule.indexes or ())
        if reached and len(reached) >= wanted:
            return index
    return None


def failure_rules(spec: Mapping[str, Any]) -> tuple[FailureRule, ...]:
    """Those of a Job's spec."""
    policy: Object = spec.get("podFailurePolicy") or {}
    rules: list[FailureRule] = []
    for rule in cast("list[Object]", policy.get("rules") or []):
        codes: Object = rule.get("onExitCodes") or {}
        patterns = cast("list[Object]", rule.get("onPodConditions") or [])
        rules.append(
            FailureRule(
                action=str(rule["action"]),
                operator=str(codes.get("operator") or ""),
                container=str(codes.get("containerName") or ""),
                codes=frozenset(int(code) for code in codes.get("values") or ()),
                conditions=tuple((str(p["type"]), str(p["status"])) for p in patterns),
            )
        )
    return tuple(rules)


def success_rules(spec: Mapping[str, Any]) -> tuple[SuccessRule, ...]:
    """Those of a Job's spec."""
    policy: Object = spec.get("successPolicy") or {}
    completions = int(spec.get("completions") or 0)
    rules: list[SuccessRule] = []
    for rule in cast("list[Object]", policy.get("rules") or []):
        text, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        indexes = None if text is None else parse_indexes(str(text), completions)
        rules.append(SuccessRule(indexes, None if count is None else int(count)))
    return tuple(rules)


def _match(rule: FailureRule, failure: Failure) -> str:
    if rule.operator:
        for container, code in failure.codes:
            named = rule.container in ("", container)
            if named and (code in rule.codes) == (rule.operator == "In"):
                return f"Container {container} for pod {failure.pod} failed with exit code {code}"
        return ""
    for condition in rule.conditions:
        if condition in failure.conditions:
            return f"Pod {failure.pod} has condition {condition[0]}"
    return ""
