"""The state of a run, without any I/O: which requests there are and how far each has come.

Times are seconds since the start of the run. Every change of a request gets the next version
number, so that a page can be sent just what changed since it was last told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from portal.pressure.statistics import percentiles, throughput

MOST_SAMPLES = 1200
# A sender ends one request and begins the next in the same moment: one point, not a notch.
ONE_MOMENT = 0.05

RUNNING, STOPPING, STOPPED, FINISHED = "running", "stopping", "stopped", "finished"
WAITING, IN_FLIGHT, DONE, FAILED, SKIPPED = "waiting", "in-flight", "done", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What the person asked for."""

    prompt: str
    concurrency: int
    total: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request brought: the picture, who made it and the times that the gateway told."""

    image: bytes
    pod: str
    queued: float | None
    service: float | None


@dataclass(frozen=True, slots=True)
class Shot:
    """One request of a run; `queued` and `service` are None where the gateway does not tell."""

    number: int
    seed: int
    version: int = 0
    state: str = WAITING
    started: float | None = None
    ended: float | None = None
    pod: str = ""
    queued: float | None = None
    service: float | None = None
    reason: str = ""

    @property
    def latency(self) -> float:
        """Seconds from sending to the whole answer; 0 until then."""
        if self.started is None or self.ended is None:
            return 0.0
        return self.ended - self.started


@dataclass(frozen=True, slots=True)
class Sample:
    """A point of the chart."""

    number: int
    at: float
    in_flight: int
    ready: int
    starting: int


class Run:
    """One pressure test. Only these methods change it; all take the time of the run."""

    def __init__(self, run_id: str, spec: RunSpec, seeds: Sequence[int]) -> None:
        self.id = run_id
        self.spec = spec
        self.status = RUNNING
        self.ended: float | None = None
        self.shots = [Shot(number=n, seed=seed) for n, seed in enumerate(seeds)]
        self.samples: list[Sample] = []
        self.peak_ready = 0
        self._version = 0
        self._next_sample = 0

    @property
    def active(self) -> bool:
        """Whether requests may still be in flight."""
        return self.status in (RUNNING, STOPPING)

    @property
    def in_flight(self) -> int:
        """How many requests are out."""
        return self._count(IN_FLIGHT)

    def begin(self, number: int, at: float) -> Shot:
        """A request is sent."""
        return self._change(number, state=IN_FLIGHT, started=at)

    def succeed(self, number: int, at: float, answer: Answer) -> None:
        """A request brought its picture."""
        self._change(
            number,
            state=DONE,
            ended=at,
            pod=answer.pod,
            queued=answer.queued,
            service=answer.service,
        )

    def fail(self, number: int, at: float, reason: str) -> None:
        """A request ended without a picture."""
        self._change(number, state=FAILED, ended=at, reason=reason)

    def stop(self) -> None:
        """No further request shall be sent."""
        if self.status == RUNNING:
            self.status = STOPPING

    def finish(self, at: float) -> None:
        """All is over: what was never sent is skipped, what was cut off has failed."""
        for shot in self.shots:
            if shot.state == WAITING:
                self._change(shot.number, state=SKIPPED)
            elif shot.state == IN_FLIGHT:
                self.fail(shot.number, at, "Stopped before the answer came.")
        self.status = FINISHED if self.status == RUNNING else STOPPED
        self.ended = at

    def sample(self, at: float, *, ready: int, starting: int) -> None:
        """Add a point to the chart; when there are too many, every second one goes."""
        self.peak_ready = max(self.peak_ready, ready)
        if self.samples and at - self.samples[-1].at < ONE_MOMENT:
            at = self.samples.pop().at
        point = Sample(self._next_sample, round(at, 3), self.in_flight, ready, starting)
        self._next_sample += 1
        self.samples.append(point)
        if len(self.samples) > MOST_SAMPLES:
            self.samples = self.samples[::2]

    def changed_since(self, version: int) -> list[Shot]:
        """The requests that changed after a version, with all of them after version -1."""
        return [shot for shot in self.shots if shot.version > version]

    @property
    def version(self) -> int:
        """The version of the latest change."""
        return self._version

    def summary(self, now: float) -> dict[str, Any]:
        """Status, counts and figures as the page receives them; times in seconds."""
        done = [shot for shot in self.shots if shot.state == DONE]
        elapsed = self.ended if self.ended is not None else now
        return {
            "id": self.id,
            **asdict(self.spec),
            "status": self.status,
            "elapsed": round(elapsed, 3),
            "now": round(now, 3),
            "done": len(done),
            "failed": self._count(FAILED),
            "in_flight": self.in_flight,
            "throughput": throughput(len(done), elapsed),
            "pods_used": len({shot.pod for shot in done if shot.pod}),
            "peak_ready": self.peak_ready,
            **percentiles([shot.latency for shot in done]),
        }

    def _count(self, state: str) -> int:
        return sum(shot.state == state for shot in self.shots)

    def _change(self, number: int, **changes: Any) -> Shot:
        self._version += 1
        shot = replace(self.shots[number], version=self._version, **changes)
        self.shots[number] = shot
        return shot
