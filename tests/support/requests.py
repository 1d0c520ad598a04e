"""What a gateway tells of, for tests."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.kube.objects import Key

DEMO = Key("default", "demo-00001")
OTHER = Key("default", "other-00001")


@dataclass(frozen=True)
class Answer:
    """One answered request."""

    revision: Key | None = DEMO
    status: int = 200
    total_ms: int = 100
    queued_ms: int = 0
    pod: str = "pod"
    termination: str = "--"
    cold_start: float = 0.0
    held_since: float = 0.0


@dataclass(frozen=True)
class Waiting:
    """One load."""

    revision: Key = DEMO
    in_flight: int = 0
    queued: int = 0
    held: int = 0
