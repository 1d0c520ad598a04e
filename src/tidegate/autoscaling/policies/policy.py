"""The policies as the controller uses them: fed with demand, asked for decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from tidegate.apis.autoscaling import HPA_CLASS, KPA_CLASS, MPA_CLASS
from tidegate.apis.demand import Demand
from tidegate.autoscaling.policies import hpa, kpa, mpa
from tidegate.autoscaling.policies.buckets import DemandBuckets
from tidegate.autoscaling.policies.decision import TIME_TOLERANCE, Decision, clamp
from tidegate.autoscaling.settings import ScaleSettings


@dataclass(frozen=True)
class Situation:
    """What a decision rests on beside demand.

    Attributes:
        settings: in force now.
        initialized: whether the initial scale was reached once.
        present: pods asked of the Deployment now, less those on their way out.
        ready: pods that can serve now.
    """

    settings: ScaleSettings
    initialized: bool
    present: int
    ready: int


class Policy(Protocol):
    """One revision's policy. Times are seconds on the monotonic clock and never go back."""

    def observe(self, demand: Demand, settings: ScaleSettings, now: float) -> None:
        """Take note of demand."""
        ...

    def decide(self, situation: Situation, now: float) -> Decision:
        """How many pods now."""
        ...


class MpaPolicy:
    """The policy `mpa` with its state."""

    def __init__(self, situation: Situation, now: float) -> None:
        self._state = mpa.start(situation.present, now)
        self._initialized = situation.initialized

    def observe(self, demand: Demand, settings: ScaleSettings, now: float) -> None:
        need = mpa.need_of(demand.total, settings)
        self._state = mpa.observe(self._state, need, settings, now)

    def decide(self, situation: Situation, now: float) -> Decision:
        if situation.initialized and not self._initialized:
            # A revision that has just proved itself stays for a window, as if it had been used.
            self._state = mpa.remember(self._state, situation.present, now)
        self._initialized = situation.initialized
        return mpa.decide(
            self._state,
            situation.settings,
            now,
            initialized=situation.initialized,
            present=situation.present,
        )


class KpaPolicy:
    """The policy `kpa` with its state."""

    def __init__(self, situation: Situation, now: float) -> None:
        self._state = kpa.start(max(situation.ready, situation.present), now)
        self._buckets = DemandBuckets()
        self._initialized = situation.initialized
        # Pods that are there count as active from now on; none were idle for ever.
        self._active_since = now if situation.present else -math.inf
        self._zero_since: float | None = None if situation.present else -math.inf
        self._want = situation.present
        self._next_tick = now

    def observe(self, demand: Demand, settings: ScaleSettings, now: float) -> None:
        self._buckets.report(demand.total, demand.requests, now, horizon=settings.window)

    def decide(self, situation: Situation, now: float) -> Decision:
        if situation.initialized and not self._initialized:
            self._active_since = now
        self._initialized = situation.initialized
        from_zero = self._want == 0 and self._buckets.load > 0
        if from_zero or now + TIME_TOLERANCE >= self._next_tick:
            self._look(situation, now)
        return self._bounded(situation, now)

    def _look(self, situation: Situation, now: float) -> None:
        settings = situation.settings
        self._state, result = kpa.scale(
            self._state, settings, self._averages(settings, now), situation.ready, now
        )
        self._want = result.want
        self._next_tick = now + kpa.TICK_SECONDS
        if self._want > 0:
            self._zero_since = None
        elif self._zero_since is None:
            self._zero_since = now

    def _averages(self, settings: ScaleSettings, now: float) -> kpa.Averages:
        average = self._buckets.rps if settings.metric == "rps" else self._buckets.concurrency
        return kpa.Averages(
            stable=average(settings.window, now, settings.aggregation),
            panic=average(settings.panic_window, now, settings.aggregation),
        )

    def _bounded(self, situation: Situation, now: float) -> Decision:
        settings = situation.settings
        desired = clamp(self._want, settings, initialized=situation.initialized)
        if self._zero_since is None:
            return Decision(desired, active=True, look_again=self._next_tick)
        inactive_at = max(self._zero_since, self._active_since + settings.window)
        active = inactive_at > now + TIME_TOLERANCE
        zero_at = inactive_at + settings.zero_delay
        if desired == 0 and situation.present and zero_at > now + TIME_TOLERANCE:
            return Decision(1, active=active, look_again=inactive_at if active else zero_at)
        look = self._next_tick if self._buckets.load > 0 else None
        return Decision(desired, active=active, look_again=inactive_at if active else look)


class HpaPolicy:
    """The policy `hpa` with its state; recommendations come in by `recommended`."""

    def __init__(self, situation: Situation, now: float) -> None:
        self._state = hpa.start(situation.present, now)
        self._want = situation.present
        self._next_look = now

    def observe(self, demand: Demand, settings: ScaleSettings, now: float) -> None:
        """Requests do not count."""

    def is_due(self, now: float) -> bool:
        """Whether it is time to look at the metrics."""
        return now + TIME_TOLERANCE >= self._next_look

    def recommended(self, pods: int | None, situation: Situation, now: float) -> None:
        """Take note of what the metrics ask for; None, where they say nothing, changes nothing."""
        self._next_look = now + hpa.SYNC_SECONDS
        if pods is None:
            return
        window = situation.settings.window
        windows = hpa.Windows(window, window) if window else hpa.Windows()
        self._state, self._want = hpa.decide(self._state, situation.present, pods, windows, now)
        rise = self._bounded(situation) - situation.present
        if rise > 0:
            self._state = hpa.note_rise(self._state, rise, now)

    def decide(self, situation: Situation, now: float) -> Decision:
        return Decision(self._bounded(situation), active=True, look_again=max(now, self._next_look))

    def _bounded(self, situation: Situation) -> int:
        want = max(1, self._want)
        return clamp(want, situation.settings, initialized=situation.initialized)


def policy_for(situation: Situation, now: float) -> Policy | None:
    """A fresh policy of the revision's class; None for a class that is not ours."""
    kinds = {MPA_CLASS: MpaPolicy, KPA_CLASS: KpaPolicy, HPA_CLASS: HpaPolicy}
    kind = kinds.get(situation.settings.autoscaler_class)
    return kind(situation, now) if kind is not None else None
