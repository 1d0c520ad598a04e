"""Gradual rollout of the latest Revision: pure steps from one split to the next.

A new Revision first gets one percent. When the gateways have taken that over, the time it took
is the shortest sensible step, and the rest moves in equal steps within the wanted duration.
The state lives as JSON in an annotation of the Ingress.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidegate.serving.routes.traffic import Target


@dataclass(frozen=True)
class Share:
    """Percent of the whole Route that goes to a Revision."""

    revision: str
    percent: int


@dataclass(frozen=True)
class ConfigurationRollout:
    """How the traffic of one Configuration under one tag is spread.

    Attributes:
        percent: of the whole Route; the shares sum to it.
        shares: from the oldest Revision to the newest; one when nothing is going on.
        started: seconds since the epoch when the newest got its first percent; 0 at rest.
        next_step: when the next step is due; 0 until the gateways have taken over the first.
        step_seconds: between steps.
        step_percent: moved by each.
    """

    configuration: str
    tag: str
    percent: int
    shares: tuple[Share, ...]
    started: float = 0.0
    next_step: float = 0.0
    step_seconds: float = 0.0
    step_percent: int = 0

    @property
    def in_progress(self) -> bool:
        return len(self.shares) > 1

    @property
    def newest(self) -> str:
        return self.shares[-1].revision


Rollout = tuple[ConfigurationRollout, ...]


def goal_of(groups: dict[str, tuple[Target, ...]]) -> Rollout:
    """The state at rest that the traffic asks for: the latest Revisions get it all."""
    goals: dict[tuple[str, str], ConfigurationRollout] = {}
    for tag, members in groups.items():
        for target in members:
            if not target.latest or target.percent == 0:
                continue
            key = (tag, target.configuration)
            percent = target.percent + (goals[key].percent if key in goals else 0)
            shares = (Share(target.revision, percent),)
            goals[key] = ConfigurationRollout(target.configuration, tag, percent, shares)
    return tuple(goals[key] for key in sorted(goals))


def step(goal: Rollout, previous: Rollout, *, now: float, duration: float) -> Rollout:
    """The state to show now: begins, continues or ends rollouts.

    Args:
        goal: from `goal_of`.
        previous: the state shown before.
        now: seconds since the epoch.
        duration: seconds a whole rollout takes; 0 moves all at once.
    """
    known = {(item.tag, item.configuration): item for item in previous}
    return tuple(
        _step_one(item, known.get((item.tag, item.configuration)), now, duration) for item in goal
    )


def confirmed(rollout: Rollout, *, now: float, duration: float) -> Rollout:
    """What follows once the gateways serve `rollout`: its timing, and the steps that are due."""
    return tuple(
        _advance(_timed(item, now, duration), now) if item.in_progress else item for item in rollout
    )


def next_due(rollout: Rollout) -> float | None:
    """When the next step is due, in seconds since the epoch."""
    due = [item.next_step for item in rollout if item.in_progress and item.next_step]
    return min(due, default=None)


def in_progress(rollout: Rollout) -> bool:
    return any(item.in_progress for item in rollout)


def spread(tag: str, members: Sequence[Target], rollout: Rollout) -> tuple[Target, ...]:
    """The members of a group with the latest ones replaced by the shares of their rollout."""
    moving = {item.configuration: item for item in rollout if item.tag == tag and item.in_progress}
    done: set[str] = set()
    result: list[Target] = []
    for target in members:
        item = moving.get(target.configuration) if target.latest else None
        if item is None:
            result.append(target)
        elif target.configuration not in done:
            done.add(target.configuration)
            result.extend(_share_targets(target, item))
        elif target.tag:
            # Its percents are in the shares already; only its name remains to be shown.
            result.append(replace(target, percent=0))
    return tuple(result)


def dump(rollout: Rollout) -> str:
    """The JSON of the annotation."""
    return json.dumps({"configurations": [_to_json(item) for item in rollout]}, sort_keys=True)


def load(text: str) -> Rollout:
    """The state in an annotation; nothing where it is missing or does not add up."""
    try:
        entries: list[dict[str, Any]] = json.loads(text or "{}").get("configurations") or []
        rollout = tuple(_from_json(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    sound = all(
        item.shares and sum(share.percent for share in item.shares) == item.percent <= 100
        for item in rollout
    )
    return rollout if sound else ()


def _step_one(
    goal: ConfigurationRollout, previous: ConfigurationRollout | None, now: float, duration: float
) -> ConfigurationRollout:
    # A rollout of one percent is over with its first step.
    if previous is None or duration <= 0 or goal.percent <= 1:
        return goal
    current = _resized(previous, goal.percent)
    if current.newest == goal.newest:
        return _settled(current)
    shares = [share for share in current.shares if share.revision != goal.newest]
    for index in range(len(shares) - 1, -1, -1):
        if shares[index].percent > 0:
            shares[index] = replace(shares[index], percent=shares[index].percent - 1)
            break
    kept = [share for share in shares if share.percent > 0]
    first = goal.percent - sum(share.percent for share in kept)
    return _settled(replace(goal, shares=(*kept, Share(goal.newest, first)), started=now))


def _resized(rollout: ConfigurationRollout, percent: int) -> ConfigurationRollout:
    """The same rollout within another total: the newest gains, the oldest lose."""
    surplus = rollout.percent - percent
    if surplus == 0:
        return rollout
    *older, newest = rollout.shares
    if surplus < 0:
        shares = (*older, replace(newest, percent=newest.percent - surplus))
    else:
        shares = _taken(rollout.shares, surplus)
    return replace(rollout, percent=percent, shares=shares)


def _taken(shares: Sequence[Share], percent: int) -> tuple[Share, ...]:
    """The shares after `percent` was taken from the oldest ones; empty ones go, not the newest."""
    result: list[Share] = []
    for share in shares:
        loss = min(share.percent, percent)
        percent -= loss
        result.append(replace(share, percent=share.percent - loss))
    return (*(share for share in result[:-1] if share.percent > 0), result[-1])


def _timed(rollout: ConfigurationRollout, now: float, duration: float) -> ConfigurationRollout:
    if rollout.next_step:
        return rollout
    shortest = max(1.0, math.ceil(now - rollout.started))
    remaining = rollout.percent - rollout.shares[-1].percent
    steps = max(1, min(remaining, math.floor(duration / shortest)))
    step_percent = math.ceil(remaining / steps)
    step_seconds = duration / math.ceil(remaining / step_percent)
    return replace(
        rollout,
        next_step=now + step_seconds,
        step_seconds=step_seconds,
        step_percent=step_percent,
    )


def _advance(rollout: ConfigurationRollout, now: float) -> ConfigurationRollout:
    if now < rollout.next_step:
        return rollout
    *older, newest = rollout.shares
    moved = min(rollout.step_percent, sum(share.percent for share in older))
    rest = _taken((*older, Share("", 0)), moved)[:-1]
    shares = (*rest, replace(newest, percent=newest.percent + moved))
    return _settled(replace(rollout, shares=shares, next_step=now + rollout.step_seconds))


def _settled(rollout: ConfigurationRollout) -> ConfigurationRollout:
    """Without its timing once one Revision has it all."""
    if rollout.in_progress:
        return rollout
    return ConfigurationRollout(rollout.configuration, rollout.tag, rollout.percent, rollout.shares)


def _share_targets(target: Target, rollout: ConfigurationRollout) -> list[Target]:
    """One target per share; the newest keeps the tag and follows the latest Revision."""
    targets = [
        replace(target, revision=share.revision, percent=share.percent, tag="")
        for share in rollout.shares
    ]
    targets[-1] = replace(targets[-1], tag=target.tag)
    return targets


def _to_json(rollout: ConfigurationRollout) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "configurationName": rollout.configuration,
        "percent": rollout.percent,
        "revisions": [
            {"revisionName": share.revision, "percent": share.percent} for share in rollout.shares
        ],
    }
    if rollout.tag:
        entry["tag"] = rollout.tag
    if rollout.in_progress:
        entry["stepParams"] = {
            "startTime": rollout.started,
            "nextStepTime": rollout.next_step,
            "stepDuration": rollout.step_seconds,
            "stepSize": rollout.step_percent,
        }
    return entry


def _from_json(entry: dict[str, Any]) -> ConfigurationRollout:
    parameters: dict[str, Any] = entry.get("stepParams") or {}
    return ConfigurationRollout(
        str(entry["configurationName"]),
        str(entry.get("tag") or ""),
        int(entry["percent"]),
        tuple(Share(str(r["revisionName"]), int(r["percent"])) for r in entry["revisions"]),
        started=float(parameters.get("startTime") or 0),
        next_step=float(parameters.get("nextStepTime") or 0),
        step_seconds=float(parameters.get("stepDuration") or 0),
        step_percent=int(parameters.get("stepSize") or 0),
    )
