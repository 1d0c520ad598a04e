"""Reading /proc: who descends from whom, what each process has used, what memory it holds."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.node.runtime.process.processes import ProcessName

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Of /proc/<pid>/stat, after the name, up to the start time.
_STAT_FIELDS = 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """One line of the process table.

    Attributes:
        parent, group, session: pids.
        cpu: seconds of CPU of itself and of the children it has waited for.
    """

    name: ProcessName
    parent: int
    group: int
    session: int
    cpu: float


Table = Mapping[int, Process]


@dataclass(frozen=True)
class Machine:
    """The machine at one moment.

    Attributes:
        up: seconds since the boot.
        cpu: seconds of CPU used by all since the boot.
        processes: by pid.
    """

    up: float
    cpu: float
    processes: Table


def read_machine() -> Machine:
    """Look at the whole machine; some tens of microseconds for each process."""
    pids = [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit()]
    found = (_read_process(pid) for pid in pids)
    up = float((_PROC / "uptime").read_bytes().split()[0])
    return Machine(up, _cpu_used(), {p.name.pid: p for p in found if p is not None})


def age_of(leader: ProcessName, machine: Machine) -> float:
    """Seconds since a process was started."""
    return machine.up - leader.start_time / _TICKS_PER_SECOND


def members_of(
    leaders: Iterable[ProcessName], table: Table, known: Mapping[ProcessName, ProcessName]
) -> dict[ProcessName, list[Process]]:
    """The living processes of each leader's tree.

    A process belongs to the leader whose group or session it is in, to which one of its ancestors
    belongs, or to which it belonged before: a daemon that has left all of these is still its.

    Args:
        leaders: the first processes of the containers.
        table: all processes.
        known: the leader of each process at the last look.
    """
    heads = {leader.pid: leader for leader in leaders}
    owners: dict[int, ProcessName | None] = {}

    def own(process: Process) -> ProcessName | None:
        for pid in (process.name.pid, process.group, process.session):
            leader = heads.get(pid)
            # A pid that has been given anew names another process.
            if leader is not None and (pid != process.name.pid or process.name == leader):
                return leader
        before = known.get(process.name)
        return before if before is not None and before in living else None

    living = set(heads.values())
    for start in table.values():
        path: list[int] = []
        current: Process | None = start
        owner: ProcessName | None = None
        while current is not None and current.name.pid not in owners:
            path.append(current.name.pid)
            owners[current.name.pid] = None  # ends a circle of a table read while it changed
            owner = own(current)
            if owner is not None:
                break
            current = table.get(current.parent)
        if owner is None and current is not None:
            owner = owners.get(current.name.pid)
        owners.update(dict.fromkeys(path, owner))
    trees: dict[ProcessName, list[Process]] = {leader: [] for leader in living}
    for pid, found in owners.items():
        if found is not None:
            trees[found].append(table[pid])
    return trees


def memory_of(pids: Collection[int]) -> int:
    """Bytes of the processes' memory, pages that several share divided among all who share them.

    That is what they would give back together, and all pods and templates add up to what the
    machine holds: a pod forked from a warm template is not charged for what it only inherited.
    """
    return sum(_proportional(pid) for pid in pids)


def memory_used() -> int:
    """Bytes of the machine's memory that are not available to new programs."""
    sizes: dict[str, int] = {}
    for line in (_PROC / "meminfo").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0]) * 1024
    return sizes["MemTotal"] - sizes["MemAvailable"]


def _read_process(pid: int) -> Process | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < _STAT_FIELDS:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    name = ProcessName(pid, int(fields[19]))
    parent, group, session = (int(field) for field in fields[1:4])
    return Process(name, parent, group, session, ticks / _TICKS_PER_SECOND)


def _cpu_used() -> float:
    with (_PROC / "stat").open("rb") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    user, nice, system, _idle, _wait, irq, soft, steal = fields
    del steal  # what other machines took
    return (user + nice + system + irq + soft) / _TICKS_PER_SECOND


def _proportional(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except PermissionError:
        return _resident(pid)
    except OSError:
        return 0
    return 0


def _resident(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
