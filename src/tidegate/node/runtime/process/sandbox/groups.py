"""Limits for a group of processes: a control group below our own.

Works where the control groups of our own processes may have others below or beside them: as root
with version 1, which serves for the CPUs alone, and with version 2 where the controllers are handed
down.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from .memory import processes

_PERIOD = 100_000
_SHORTEST = 1_000
_PARENT = "tidegate"


def make_group(name: str, *, cores: float | None = None, memory: int | None = None) -> str:
    """A group with that many CPUs and bytes at most; its directory.

    Raises OSError if there can be none. One with CPUs may be without its limit of memory.
    """
    problem = OSError("control groups are not to be found")
    for parent, version in _places():
        path = os.path.join(parent, _PARENT, name)
        try:
            if version == 2:
                _make_second(parent, path, cores, memory)
            elif cores:
                _make_first(path, cores)
            else:
                raise OSError("control groups of version 1 do not limit memory here")
        except OSError as error:
            problem = error
            remove_group(path)
        else:
            return path
    raise problem


def _make_first(path: str, cores: float) -> None:
    os.makedirs(path, exist_ok=True)
    _set(path, "cpu.cfs_period_us", str(_PERIOD))
    _set(path, "cpu.cfs_quota_us", str(_quota(cores)))


def _make_second(parent: str, path: str, cores: float | None, memory: int | None) -> None:
    controllers = ["cpu"] if cores else []
    limits_memory = memory and (not cores or "memory" in _words(parent, "cgroup.controllers"))
    if limits_memory:
        controllers.append("memory")
    _hand_down(parent, controllers)
    os.makedirs(path, exist_ok=True)
    _hand_down(os.path.dirname(path), controllers)
    if cores:
        _set(path, "cpu.max", f"{_quota(cores)} {_PERIOD}")
    if limits_memory:
        _set(path, "memory.max", str(memory))
        # All of a container ends together.
        _set(path, "memory.oom.group", "1")
        with contextlib.suppress(OSError):  # where swap is not accounted for
            _set(path, "memory.swap.max", "0")


def _quota(cores: float) -> int:
    return max(_SHORTEST, round(cores * _PERIOD))


def ran_out_of_memory(path: str) -> bool:
    """Whether the kernel has killed in a group for its limit of memory."""
    try:
        events = _lines(os.path.join(path, "memory.events"))
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in events)


def fill_group(path: str, pid: int) -> None:
    """Move a process and its descendants into a group. Raises OSError.

    The kernel takes tens of milliseconds for each, which is why nobody waits for it.
    """
    moved: set[int] = set()
    while remaining := [number for number in processes(pid) if number not in moved]:
        for number in remaining:
            moved.add(number)
            with contextlib.suppress(ProcessLookupError):
                _set(path, "cgroup.procs", str(number))


def remove_group(path: str) -> None:
    """Remove a group that has no processes any more; others stay."""
    with contextlib.suppress(OSError):
        os.rmdir(path)
        os.rmdir(os.path.dirname(path))


def _places() -> list[tuple[str, int]]:
    """Where a group may be: below our own group, in version 2 also beside it."""
    own: dict[str, str] = {}
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    found: list[tuple[str, int]] = []
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        root, point = before.split(" ")[3:5]
        kind, _, options = after.split(" ")[:3]
        if kind == "cgroup" and "cpu" in options.split(",") and "cpu" in own:
            found.append((_inside(point, root, own["cpu"]), 1))
        elif kind == "cgroup2" and "" in own and "cpu" not in own:
            mine = _inside(point, root, own[""])
            found.append((mine, 2))
            if mine != point:
                found.append((os.path.dirname(mine), 2))
    return found


def _inside(point: str, root: str, path: str) -> str:
    below = path[len(root) :] if root != "/" and path.startswith(root) else path
    return os.path.join(point, below.strip("/")).rstrip("/")


def _hand_down(group: str, controllers: Sequence[str]) -> None:
    handed = _words(group, "cgroup.subtree_control")
    missing = [f"+{name}" for name in controllers if name not in handed]
    if missing:
        _set(group, "cgroup.subtree_control", " ".join(missing))


def _words(group: str, name: str) -> list[str]:
    return [word for line in _lines(os.path.join(group, name)) for word in line.split()]


def _set(group: str, name: str, value: str) -> None:
    with open(os.path.join(group, name), "w", encoding="utf-8") as file:
        file.write(value)


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()
