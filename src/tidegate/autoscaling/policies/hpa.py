"""HPA: pods by CPU or memory, with the arithmetic of Kubernetes' HorizontalPodAutoscaler.

    desired = ceil(ratio x pods),   ratio = use / target

CPU is compared with its part of what the pods request, summed; memory with its amount per pod. A
ratio within a tenth of 1 changes nothing. Pods that are not ready and pods without metrics must
not make a decision bolder: where more pods are wanted they count as using nothing, where fewer
are wanted, those without metrics count as in full use. What comes out is stabilized: a fall takes
the highest recommendation of the last 300 seconds, or of the revision's window. A rise at most
doubles the pods, or adds four, in 15 seconds.

Looked at every 15 seconds, and never at zero pods: the class does not scale to zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

SYNC_SECONDS = 15.0
TOLERANCE = Fraction(1, 10)
DOWN_SECONDS = 300.0
UP_SECONDS = 0.0

_RISE_SECONDS = 15.0
_RISE_PODS = 4
_RISE_FACTOR = 2
_INITIALIZATION_SECONDS = 300.0
_READINESS_DELAY_SECONDS = 30.0


class NoMetricsError(Exception):
    """Nothing can be recommended; says why."""


@dataclass(frozen=True)
class Measured:
    """What a pod uses.

    Attributes:
        use: cores of CPU or bytes of memory.
        at: end of the window, epoch seconds.
        window: seconds.
    """

    use: Fraction
    at: float
    window: float


@dataclass(frozen=True)
class PodLoad:
    """One pod, neither deleted nor finished.

    Attributes:
        pending: it has not started.
        ready: its condition; None without one.
        ready_since: when that last changed, epoch seconds.
        started: when the node took it, epoch seconds; None before.
        request: of the resource by all its containers; None where one has no request.
        measured: None without metrics.
    """

    name: str
    pending: bool
    ready: bool | None
    ready_since: float
    started: float | None
    request: Fraction | None
    measured: Measured | None


@dataclass(frozen=True)
class Target:
    """What is aimed at.

    Attributes:
        resource: `cpu` or `memory`.
        value: for cpu a part of the requests, 0.8 for 80 %; for memory bytes per pod.
    """

    resource: str
    value: Fraction


@dataclass(frozen=True)
class Recommendation:
    """What was recommended at an instant."""

    pods: int
    at: float


@dataclass(frozen=True)
class HpaState:
    """The recommendations within the windows, and what was added in the last 15 seconds."""

    past: tuple[Recommendation, ...]
    rises: tuple[Recommendation, ...] = ()


@dataclass(frozen=True)
class Windows:
    """For how many seconds a recommendation counts before the pods follow it."""

    up: float = UP_SECONDS
    down: float = DOWN_SECONDS


def start(present: int, now: float) -> HpaState:
    """The state of a policy without a past: what is there was recommended."""
    return HpaState((Recommendation(present, now),))


def recommend(pods: Sequence[PodLoad], present: int, target: Target, now: float) -> int:
    """How many pods the metrics ask for, before windows and bounds.

    Args:
        pods: all that count.
        present: how many are asked of the Deployment.
        target: what is aimed at.
        now: epoch seconds.

    Raises:
        NoMetricsError: no pod has metrics that count, or one has no request.
    """
    if target.resource == "cpu":
        for pod in pods:
            if pod.request is None:
                raise NoMetricsError(f"missing request for cpu in pod {pod.name}")
    groups = _group(pods, target, now)
    if not groups.ready:
        raise NoMetricsError(
            f"did not receive metrics for targeted pods (pods might be unready): {target.resource}"
        )
    uses = {pod.name: measured.use for pod, measured in groups.ready}
    counted = [pod for pod, _ in groups.ready]
    ratio = _ratio(uses, counted, target)
    fills = bool(groups.missing) or bool(groups.unready and ratio > 1)
    if not fills:
        return present if _is_close(ratio) else math.ceil(ratio * len(counted))
    return _cautious(groups, uses, counted, ratio, present, target)


def decide(
    state: HpaState, present: int, recommended: int, windows: Windows, now: float
) -> tuple[HpaState, int]:
    """The pods to have now, before minimum and maximum.

    Args:
        state: of the last decision.
        present: how many are asked of the Deployment.
        recommended: by the metrics, now.
        windows: how long a change must have been recommended.
        now: monotonic seconds.
    """
    span = max(windows.up, windows.down)
    before = tuple(old for old in state.past if old.at > now - span)
    rises = tuple(rise for rise in state.rises if rise.at > now - _RISE_SECONDS)
    lowest = min([recommended, *(old.pods for old in before if old.at > now - windows.up)])
    highest = max([recommended, *(old.pods for old in before if old.at > now - windows.down)])
    stable = min(max(present, lowest), highest)
    if stable > present:
        base = present - sum(rise.pods for rise in rises)
        stable = min(stable, max(base + _RISE_PODS, base * _RISE_FACTOR, present))
    return HpaState((*before, Recommendation(recommended, now)), rises), stable


def note_rise(state: HpaState, pods: int, now: float) -> HpaState:
    """The state after that many pods were added."""
    return replace(state, rises=(*state.rises, Recommendation(pods, now)))


@dataclass(frozen=True)
class _Groups:
    ready: list[tuple[PodLoad, Measured]]
    unready: list[PodLoad]
    missing: list[PodLoad]


def _group(pods: Sequence[PodLoad], target: Target, now: float) -> _Groups:
    groups = _Groups([], [], [])
    for pod in pods:
        if pod.pending:
            groups.unready.append(pod)
        elif pod.measured is None:
            groups.missing.append(pod)
        elif target.resource == "cpu" and _is_warming_up(pod, pod.measured, now):
            groups.unready.append(pod)
        else:
            groups.ready.append((pod, pod.measured))
    return groups


def _is_warming_up(pod: PodLoad, measured: Measured, now: float) -> bool:
    """Whether a pod's CPU is that of its start, which says nothing of its load."""
    if pod.ready is None or pod.started is None:
        return True
    if pod.started + _INITIALIZATION_SECONDS > now:
        return not pod.ready or measured.at < pod.ready_since + measured.window
    return not pod.ready and pod.started + _READINESS_DELAY_SECONDS > pod.ready_since


def _ratio(uses: dict[str, Fraction], pods: Sequence[PodLoad], target: Target) -> Fraction:
    total = sum(uses.values(), Fraction(0))
    if target.resource == "cpu":
        requested = sum((pod.request or Fraction(0) for pod in pods), Fraction(0))
        # In whole percents, as Kubernetes counts.
        percent = int(total * 100 / requested) if requested else 0
        return Fraction(percent, 100) / target.value
    return total / len(pods) / target.value


def _cautious(
    groups: _Groups,
    uses: dict[str, Fraction],
    counted: list[PodLoad],
    ratio: Fraction,
    present: int,
    target: Target,
) -> int:
    """The recommendation with made-up numbers for the pods of which nothing is known."""
    uses, counted = dict(uses), list(counted)
    if ratio != 1:
        for pod in groups.missing:
            counted.append(pod)
            uses[pod.name] = _in_full_use(pod, target) if ratio < 1 else Fraction(0)
    if ratio > 1:
        counted.extend(groups.unready)
        uses.update((pod.name, Fraction(0)) for pod in groups.unready)
    guess = _ratio(uses, counted, target)
    if _is_close(guess) or (ratio < 1 < guess) or (guess < 1 < ratio):
        return present
    pods = math.ceil(guess * len(counted))
    # The guess must not turn the direction round.
    turned = (guess < 1 and pods > present) or (guess > 1 and pods < present)
    return present if turned else pods


def _in_full_use(pod: PodLoad, target: Target) -> Fraction:
    if target.resource == "cpu":
        return (pod.request or Fraction(0)) * max(Fraction(1), target.value)
    return target.value


def _is_close(ratio: Fraction) -> bool:
    return abs(ratio - 1) <= TOLERANCE
