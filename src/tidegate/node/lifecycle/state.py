"""The states of a container, as immutable values; `status` turns them into a pod's status."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """Not running; `reason` as kubelet names them."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True)
class Running:
    """Running since `started_at` (seconds since the epoch)."""

    started_at: float


@dataclass(frozen=True)
class Terminated:
    """Ended; times in seconds since the epoch."""

    exit_code: int
    signal: int
    reason: str
    message: str
    started_at: float
    finished_at: float
    container_id: str


State = Waiting | Running | Terminated


@dataclass(frozen=True)
class ContainerView:
    """A container as its status shows it.

    Attributes:
        state: now.
        last: how the start before this one ended.
        restarts: how often it was started again.
        started: whether its startup probe has succeeded.
        ready: whether it may get requests.
        image_id, container_id: empty before the first start.
        image_at, ready_at: when its image was there, and when it was ready for the first time;
            seconds since the epoch, 0 where this control plane has not seen it.
        done: it has ended and will not be started again.
        sidecar: an init container that runs beside the others.
    """

    name: str
    image: str
    state: State = Waiting()
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    image_id: str = ""
    container_id: str = ""
    image_at: float = 0.0
    ready_at: float = 0.0
    done: bool = False
    sidecar: bool = False

    @property
    def succeeded(self) -> bool:
        return self.done and isinstance(self.state, Terminated) and self.state.exit_code == 0

    @property
    def initialized(self) -> bool:
        """Whether an init container lets the next one start."""
        if self.sidecar:
            return self.started or (self.done and self.last is not None)
        return self.succeeded

    @property
    def has_started(self) -> bool:
        """Whether it was ever started."""
        return self.last is not None or not isinstance(self.state, Waiting)
