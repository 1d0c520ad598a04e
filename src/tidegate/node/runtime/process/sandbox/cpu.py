"""A share of the CPUs for a group of processes: a control group below our own.

Works where the control groups of our own processes may have others below or beside them: as root
with version 1, and with version 2 where the CPU controller is handed down.
"""

from __future__ import annotations

import contextlib
import os

from .memory import processes

_PERIOD = 100_000
_SHORTEST = 1_000
_PARENT = "tidegate"


def make_group(name: str, cores: float) -> str:
    """A group with that many CPUs at most; its directory. Raises OSError if there can be none."""
    quota = max(_SHORTEST, round(cores * _PERIOD))
    problem = OSError("control groups are not to be found")
    for parent, version in _places():
        path = os.path.join(parent, _PARENT, name)
        try:
            if version == 2:
                _hand_down(parent)
                os.makedirs(path, exist_ok=True)
                _hand_down(os.path.dirname(path))
                _set(path, "cpu.max", f"{quota} {_PERIOD}")
            else:
                os.makedirs(path, exist_ok=True)
                _set(path, "cpu.cfs_period_us", str(_PERIOD))
                _set(path, "cpu.cfs_quota_us", str(quota))
        except OSError as error:
            problem = error
            remove_group(path)
        else:
            return path
    raise problem


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


def _hand_down(group: str) -> None:
    with open(os.path.join(group, "cgroup.subtree_control"), encoding="utf-8") as file:
        if "cpu" in file.read().split():
            return
    _set(group, "cgroup.subtree_control", "+cpu")


def _set(group: str, name: str, value: str) -> None:
    with open(os.path.join(group, name), "w", encoding="utf-8") as file:
        file.write(value)


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()
