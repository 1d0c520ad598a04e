"""What the pod's life cycle asks of a runtime, whatever it runs containers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tidegate.kube.errors import UserError
from tidegate.node.images.store import Image
from tidegate.node.runtime.isolation import Isolation, Limits


class StartError(UserError):
    """A container could not be started; the container's status shows the message."""


@dataclass(frozen=True)
class Terminal:
    """What a container reads.

    Attributes:
        stdin: it has an input, which never ends.
        once: but with the first client that is attached and gives some.
        tty: its three streams are one terminal.
    """

    stdin: bool = False
    once: bool = False
    tty: bool = False


@dataclass(frozen=True)
class Launch:
    """One start of a container.

    Attributes:
        directory: private to this start; the runtime keeps its records there.
        image: prepared before.
        argv: program and arguments.
        env: the complete environment.
        working_dir: where the program starts.
        title: short name for process listings.
        isolation: what it sees and who it is.
        limits: what it may use.
        terminal: what it reads.
    """

    directory: Path
    image: Image
    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: Path
    title: str
    isolation: Isolation = field(default_factory=Isolation)
    limits: Limits = field(default_factory=Limits)
    terminal: Terminal = field(default_factory=Terminal)


@dataclass(frozen=True)
class Exit:
    """How a container ended.

    Attributes:
        code: exit code, 128 + signal for one that was killed by it.
        signal: the signal's number, or 0.
        finished_at: seconds since the epoch.
        known: False when nobody saw the exit and the code is a stand-in.
        out_of_memory: it was killed for using more than its limit.
        failure: why its program was never reached, or empty.
    """

    code: int
    signal: int
    finished_at: float
    known: bool = True
    out_of_memory: bool = False
    failure: str = ""


class Container(Protocol):
    """A started container."""

    @property
    def container_id(self) -> str:
        """Unique name of this start, `<runtime>://<id>`."""
        ...

    @property
    def started_at(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        ...

    @property
    def not_enforced(self) -> tuple[str, ...]:
        """What was asked for and is not kept to here, each with the reason."""
        ...

    def command_prefix(self, working_dir: Path) -> tuple[str, ...]:
        """What to put before a command of this machine so that it runs inside the container."""
        ...

    async def wait(self) -> Exit:
        """Wait for the end; may be called by several tasks and again afterwards."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to all its processes; nothing happens if it has ended."""
        ...


class Runtime(Protocol):
    """Runs containers. They outlive the control plane; `adopt` finds them again."""

    @property
    def mounts(self) -> bool:
        """Whether containers see their mounts; known once an image has been prepared."""
        ...

    async def prepare(self, image: Image) -> None:
        """Make the next start of `image` quick. Raises ImageError."""
        ...

    async def start(self, launch: Launch) -> Container:
        """Start a container. Raises StartError, and ImageError if the image cannot be prepared."""
        ...

    async def adopt(self, directory: Path) -> Container | None:
        """The container once started with that directory, ended or not; None if never started."""
        ...

    async def run(self) -> None:
        """Tend what runs until cancelled, leaving the containers alone."""
        ...

    async def shutdown(self) -> None:
        """End everything that serves only to start containers."""
        ...
