"""KPA: Knative's own arithmetic, with a stable window and a panic window.

    stable = ceil(average over the window / target),  panic = ceil(average over the panic window
    / target), both within [floor(ready / max-scale-down-rate), ceil(max-scale-up-rate x ready)]

Panic begins when the panic average asks for `panic_threshold` times the ready pods, lasts a
stable window beyond the last such moment, and never lowers the number of pods. The autoscaler
looks every two seconds, and at once when there is demand for a revision at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tidegate.autoscaling.settings import ScaleSettings

TICK_SECONDS = 2.0


@dataclass(frozen=True)
class KpaState:
    """What KPA remembers from one look to the next.

    Attributes:
        panic_since: last instant at which demand was over the threshold; None when calm.
        max_panic_pods: the number of pods that panic holds.
        wants: (instant, pods) within the scale-down delay; pods fall along it.
    """

    panic_since: float | None = None
    max_panic_pods: int = 0
    wants: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class Averages:
    """The metric over the two windows."""

    stable: float
    panic: float


@dataclass(frozen=True)
class Result:
    """What one look found.

    Attributes:
        want: pods, before the revision's bounds.
        excess_burst_capacity: room for a burst beyond the target burst capacity; below 0 the
            pods that are ready could not take it.
    """

    want: int
    excess_burst_capacity: float


def start(ready: int, now: float) -> KpaState:
    """The state after a start of the autoscaler: more than one pod is kept by panic."""
    return KpaState(panic_since=now, max_panic_pods=ready) if ready > 1 else KpaState()


def scale(
    state: KpaState, settings: ScaleSettings, averages: Averages, ready: int, now: float
) -> tuple[KpaState, Result]:
    """One look at the averages with `ready` pods ready."""
    capacity = max(1, ready)
    stable = _wanted(averages.stable, settings, capacity)
    panic = _wanted(averages.panic, settings, capacity)
    over = _ratio(averages.panic, settings) / capacity >= settings.panic_threshold
    state = _panic(state, settings, over=over, now=now)
    want = stable
    if state.panic_since is not None:
        want = max(stable, panic, state.max_panic_pods)
        state = replace(state, max_panic_pods=want)
    state, want = _delayed(state, settings, want, now)
    return state, Result(want, _excess_burst_capacity(settings, averages, ready))


def _ratio(average: float, settings: ScaleSettings) -> int:
    # Averages are sums of floats: what is below a billionth of a pod is rounding.
    return math.ceil(round(average / settings.target, 9))


def _wanted(average: float, settings: ScaleSettings, capacity: int) -> int:
    raw = _ratio(average, settings)
    most = math.ceil(settings.max_scale_up_rate * capacity)
    least = math.floor(capacity / settings.max_scale_down_rate) if settings.reachable else 0
    bounded = min(max(raw, least), most)
    return max(bounded, settings.activation_scale) if raw > 0 else bounded


def _panic(state: KpaState, settings: ScaleSettings, *, over: bool, now: float) -> KpaState:
    if over:
        return replace(state, panic_since=now)
    if state.panic_since is not None and state.panic_since + settings.window < now:
        return replace(state, panic_since=None, max_panic_pods=0)
    return state


def _delayed(
    state: KpaState, settings: ScaleSettings, want: int, now: float
) -> tuple[KpaState, int]:
    if not settings.reachable or settings.scale_down_delay <= 0:
        return replace(state, wants=()), want
    oldest = now - settings.scale_down_delay
    kept = [(time, pods) for time, pods in state.wants if time > oldest and pods > want]
    wants = (*kept, (now, want))
    return replace(state, wants=wants), max(pods for _, pods in wants)


def _excess_burst_capacity(settings: ScaleSettings, averages: Averages, ready: int) -> float:
    capacity = settings.target_burst_capacity
    if capacity == 0:
        return 0
    if capacity < 0:
        return -1
    return math.floor(ready * settings.target_total - capacity - averages.panic)
