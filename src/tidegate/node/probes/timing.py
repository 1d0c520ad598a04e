"""When a probe asks and what its answers mean, on the node's clock.

Counted attempts are Kubernetes': the first `initialDelaySeconds` after the container's start, then
one per `periodSeconds`; `failureThreshold` counted failures in a row make it fail. Without a delay
the first one of a startup or readiness probe is a period after the start, for no program answers
in its first instant (kubelet waits a random part of the period).

A cold start must not wait for a period, so until its first success a startup or readiness probe
also asks in between: 10 ms after the start and then at growing intervals up to the period. Such an
extra attempt that fails means nothing; one that succeeds counts. A success before
`initialDelaySeconds` counts too: the delay says when failures begin to matter, not that a program
that answers is to be kept waiting. (Knative's own readiness probing treats it alike.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tidegate.kube.clock import Clock
from tidegate.kube.objects import Object

_EAGER_START = 0.01
_EAGER_GROWTH = 1.15


@dataclass(frozen=True)
class ProbeTiming:
    """A probe's numbers, in seconds and attempts, with Kubernetes' defaults."""

    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3

    @classmethod
    def of(cls, probe: Object) -> ProbeTiming:
        """From a container's probe; zero or absent means the default."""

        def number(name: str, default: float) -> float:
            value: Any = probe.get(name)
            return float(value) if value else default

        return cls(
            initial_delay=number("initialDelaySeconds", 0.0),
            period=number("periodSeconds", 10.0),
            timeout=number("timeoutSeconds", 1.0),
            success_threshold=int(number("successThreshold", 1)),
            failure_threshold=int(number("failureThreshold", 3)),
        )


@dataclass(frozen=True)
class Answer:
    """One attempt's outcome."""

    success: bool
    message: str = ""


Check = Callable[[], Awaitable[Answer]]


class Probe:
    """Asks until cancelled.

    Args:
        timing: when.
        check: the question; it keeps to the timeout itself.
        clock: the time.
        eager: ask between the periods until the first success (startup and readiness).
        healthy: what holds until a threshold is reached.
        on_change: called when the verdict changes, and with every repeated failed verdict.
        on_failure: called with every counted failure's message.
    """

    def __init__(
        self,
        timing: ProbeTiming,
        check: Check,
        *,
        clock: Clock,
        eager: bool,
        healthy: bool,
        on_change: Callable[[bool], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._timing = timing
        self._check = check
        self._clock = clock
        self._eager = eager
        self._healthy = healthy
        self._on_change = on_change
        self._on_failure = on_failure
        self._successes = 0
        self._failures = 0

    async def run(self) -> None:
        """Ask until cancelled; the container starts now."""
        due = self._clock.monotonic() + self._timing.initial_delay
        if self._eager:
            due += 0.0 if self._timing.initial_delay else self._timing.period
            due = await self._ask_eagerly(due)
        while True:
            await self._sleep_until(due)
            due += self._timing.period
            self._count(await self._check())
            # An attempt that took longer than a period must not be followed by a burst.
            due = max(due, self._clock.monotonic())

    async def _ask_eagerly(self, due: float) -> float:
        """Ask at short intervals until the first success; when the next counted attempt is due."""
        interval = _EAGER_START
        while True:
            extra = self._clock.monotonic() + min(interval, self._timing.period)
            await self._sleep_until(min(extra, due))
            counted = self._clock.monotonic() >= due
            answer = await self._check()
            if counted:
                due = max(due + self._timing.period, self._clock.monotonic())
            if counted or answer.success:
                self._count(answer)
            if answer.success:
                return max(due, self._clock.monotonic() + self._timing.period)
            interval *= _EAGER_GROWTH

    def _count(self, answer: Answer) -> None:
        if answer.success:
            self._failures = 0
            self._successes += 1
            if not self._healthy and self._successes >= self._timing.success_threshold:
                self._healthy = True
                self._on_change(True)
            return
        self._successes = 0
        self._failures += 1
        self._on_failure(answer.message)
        if self._failures >= self._timing.failure_threshold:
            self._healthy = False
            self._on_change(False)

    async def _sleep_until(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
