"""How a container is to be kept apart, whatever keeps it: its mounts, its user, its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """A file or directory of the machine that the container sees at another path.

    Attributes:
        source: of the volume.
        target: absolute path in the container.
        read_only: the container cannot write to it.
        sub_path: what of the source is mounted; empty for all of it.
    """

    source: Path
    target: str
    read_only: bool = True
    sub_path: str = ""


@dataclass(frozen=True)
class Identity:
    """Who the container's programs are and what they may.

    Attributes:
        user, group: None leaves the platform's own.
        groups: supplementary ones.
        no_new_privileges: executing a program gives no rights.
        capabilities: a bit mask of those kept; None leaves what the user has.
        read_only_root: nothing but volumes, HOME and TMPDIR can be written.
    """

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    no_new_privileges: bool = False
    capabilities: int | None = None
    read_only_root: bool = False


@dataclass(frozen=True)
class Isolation:
    """What a container sees and who it is.

    Attributes:
        mounts: volumes at their paths.
        visible: paths that must stay reachable for the user, whatever is mounted.
        writable: those of them that stay so on a read-only root.
        hostname: empty leaves the machine's.
    """

    mounts: tuple[Mount, ...] = ()
    visible: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hostname: str = ""
    identity: Identity = Identity()


@dataclass(frozen=True)
class Limits:
    """What a container may use.

    Attributes:
        memory: bytes; above it the container is killed.
        cpu: CPUs at most.
        oom_score: -1000 to 1000, how soon the kernel takes it when the machine is out of memory.
    """

    memory: int | None = None
    cpu: float | None = None
    oom_score: int | None = None
