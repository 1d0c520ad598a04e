"""MPA: pods by the requests that the gateway counts, up at once and down after the window.

    need(t)    = ceil(total(t) / (capacity x utilization))
    desired(t) = max of need over (t - window - scale-down-delay, t], within the bounds

`total` is in flight + queued + held; `capacity` is containerConcurrency, or the target where
that is 0 or lower. Every rise of demand is answered at once. A fall counts when it has lasted
for the window, so that a burst finds the pods of the one before. At zero demand the last pod
stays for the grace (or the retention, whichever is longer) beyond that.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.autoscaling.policies.decision import (
    TIME_TOLERANCE,
    Decision,
    clamp,
    pods_for,
)
from tidegate.autoscaling.settings import ScaleSettings


@dataclass(frozen=True)
class Step:
    """A need that was in force until `end`."""

    need: int
    end: float


@dataclass(frozen=True)
class MpaState:
    """The need now, and the higher ones of before: needs fall and ends rise along `past`."""

    need: int = 0
    past: tuple[Step, ...] = ()


def start(present: int, now: float) -> MpaState:
    """The state of a policy that has seen no demand yet: what is there stays for a window."""
    return remember(MpaState(), present, now)


def need_of(total: int, settings: ScaleSettings) -> int:
    """Pods for `total` requests at once, before window and bounds."""
    need = pods_for(total, settings.target_total, settings.utilization)
    return max(need, settings.activation_scale) if need else 0


def observe(state: MpaState, need: int, settings: ScaleSettings, now: float) -> MpaState:
    """The state after `need` came into force at `now`."""
    if need == state.need:
        return state
    oldest = now - _hold(settings) - settings.zero_delay
    covered = max(state.need, need)
    past = tuple(step for step in state.past if step.need > covered and step.end >= oldest)
    if state.need > need:
        past = (*past, Step(state.need, now))
    return MpaState(need, past)


def remember(state: MpaState, need: int, now: float) -> MpaState:
    """The state as if `need` had been in force until `now`."""
    if need <= state.need:
        return state
    kept = tuple(step for step in state.past if step.need > need)
    return MpaState(state.need, (*kept, Step(need, now)))


def decide(
    state: MpaState, settings: ScaleSettings, now: float, *, initialized: bool, present: int
) -> Decision:
    """How many pods at `now`; the grace of the last one brings none back that has gone."""
    hold = _hold(settings)
    instant = now + TIME_TOLERANCE
    held = [step for step in state.past if step.end + hold > instant]
    need = max([state.need, *(step.need for step in held)])
    desired = clamp(need, settings, initialized=initialized)
    looks = [step.end + hold for step in held]
    if desired == 0 and state.past and present:
        zero_at = max(step.end for step in state.past) + hold + settings.zero_delay
        if zero_at > instant:
            desired = 1
            looks.append(zero_at)
    return Decision(desired, active=need > 0, look_again=min(looks, default=None))


def _hold(settings: ScaleSettings) -> float:
    return settings.window + settings.scale_down_delay
