"""The arithmetic of a Deployment's rollout: how many replicas each ReplicaSet should have.

Pure functions on counts, after Kubernetes' deployment controller. Surge rounds up, unavailability
rounds down, and never are both zero, for nothing could move then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Replicas:
    """One ReplicaSet's counts.

    Attributes:
        name: of the ReplicaSet.
        wanted: its `spec.replicas`.
        available: its `status.availableReplicas`.
        created: epoch seconds; older ReplicaSets shrink first.
    """

    name: str
    wanted: int
    available: int
    created: float = 0.0


@dataclass(frozen=True)
class Strategy:
    """A Deployment's strategy with percentages resolved.

    Attributes:
        replicas: the Deployment's `spec.replicas`.
        max_surge: pods allowed above `replicas`.
        max_unavailable: pods that may be missing below `replicas`.
    """

    replicas: int
    max_surge: int
    max_unavailable: int

    @property
    def max_total(self) -> int:
        """Pods allowed at once; nothing at all for a Deployment of zero."""
        return self.replicas + self.max_surge if self.replicas else 0

    @property
    def min_available(self) -> int:
        return self.replicas - self.max_unavailable


def strategy_of(deployment: dict[str, Any]) -> Strategy:
    """The resolved strategy; a Recreate has neither surge nor a limit on unavailability."""
    spec: dict[str, Any] = deployment["spec"]
    replicas = int(spec["replicas"]) if spec.get("replicas") is not None else 1
    strategy: dict[str, Any] = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Strategy(replicas, 0, replicas)
    rolling: dict[str, Any] = strategy.get("rollingUpdate") or {}
    surge = _resolve(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Strategy(replicas, surge, min(unavailable, replicas))


def is_recreate(deployment: dict[str, Any]) -> bool:
    strategy: dict[str, Any] = deployment["spec"].get("strategy") or {}
    return strategy.get("type") == "Recreate"


def grow_new(strategy: Strategy, new: Replicas, old: Sequence[Replicas]) -> int:
    """Replicas for the new ReplicaSet: as many as the surge has room for."""
    if new.wanted >= strategy.replicas:
        return strategy.replicas
    total = new.wanted + sum(rs.wanted for rs in old)
    room = strategy.replicas + strategy.max_surge - total
    return new.wanted + max(0, min(room, strategy.replicas - new.wanted))


def shrink_old(strategy: Strategy, new: Replicas, old: Sequence[Replicas]) -> dict[str, int]:
    """Replicas for those old ReplicaSets that should shrink now.

    Unhealthy replicas of old ReplicaSets go first, for they serve nobody; then as many healthy
    ones as the available replicas above the minimum allow.
    """
    by_age = sorted(old, key=lambda rs: rs.created)
    total = new.wanted + sum(rs.wanted for rs in by_age)
    new_unavailable = new.wanted - new.available
    removable = total - strategy.min_available - new_unavailable
    if removable <= 0:
        return {}
    cleaned, left = _take(by_age, removable, lambda rs: rs.wanted - rs.available)
    spare = new.available + sum(rs.available for rs in by_age) - strategy.min_available
    # A status may lag behind the last shrink and still count pods that are going.
    shrunk, _ = _take(cleaned, min(spare, left), lambda rs: rs.wanted)
    before = {rs.name: rs.wanted for rs in by_age}
    return {rs.name: rs.wanted for rs in shrunk if rs.wanted != before[rs.name]}


def share_proportionally(
    strategy: Strategy, active: Sequence[Replicas], max_totals: dict[str, int]
) -> dict[str, int]:
    """Spread a change of `spec.replicas` in the middle of a rollout over the ReplicaSets.

    Args:
        active: ReplicaSets with replicas, any order.
        max_totals: per ReplicaSet, replicas + surge of the Deployment when it was last sized.

    Returns:
        Replicas for every ReplicaSet in `active`.
    """
    current = sum(rs.wanted for rs in active)
    change = strategy.max_total - current
    growing = change > 0
    # Largest first; of equals, newer first when growing and older first when shrinking.
    order = sorted(active, key=lambda rs: (-rs.wanted, -rs.created if growing else rs.created))
    left = change
    sizes: dict[str, int] = {}
    for rs in order:
        share = 0
        if change and left:
            share = _fraction(strategy, rs, max_totals.get(rs.name) or current, change, left)
            left -= share
        sizes[rs.name] = max(0, rs.wanted + share)
    if order and left:
        largest = order[0].name
        sizes[largest] = max(0, sizes[largest] + left)
    return sizes


def _fraction(strategy: Strategy, rs: Replicas, max_total: int, change: int, left: int) -> int:
    target = _round_half_away(rs.wanted * strategy.max_total / max_total)
    share = target - rs.wanted
    return min(share, left) if change > 0 else max(share, left)


def _round_half_away(value: float) -> int:
    return math.floor(value + 0.5)


def _take(
    sets: Sequence[Replicas], budget: int, available_to_take: Callable[[Replicas], int]
) -> tuple[list[Replicas], int]:
    result: list[Replicas] = []
    for rs in sets:
        amount = max(0, min(budget, available_to_take(rs)))
        budget -= amount
        result.append(replace(rs, wanted=rs.wanted - amount))
    return result, budget


def _resolve(value: int | str | None, replicas: int, rounding: Callable[[float], int]) -> int:
    if isinstance(value, str):
        if value.endswith("%"):
            return rounding(int(value[:-1]) * replicas / 100)
        return int(value)
    return int(value or 0)
