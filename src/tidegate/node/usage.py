"""How much CPU and memory the pods and the machine use, for the metrics API.

CPU is a rate between two looks at the process table: one every 15 seconds, and more, at most one
in 5 seconds, when somebody asks. A look reads every process once, however many pods there are.
Memory costs more and is read only for those who ask, once per look.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.kube.clock import Clock
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, name_of, namespace_of, status_of, uid_of
from tidegate.kube.usage import NodeSample, PodSample, ResourceUsage
from tidegate.node.fields import is_over, part, parts
from tidegate.node.runtime.process.processes import ProcessName
from tidegate.node.usage_processes import (
    Machine,
    age_of,
    members_of,
    memory_of,
    memory_used,
    read_machine,
)

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 15.0
_CONTAINER_ID = re.compile(r"process://(\d{1,10})-(\d{1,20})", re.ASCII)
_FRESH_SECONDS = 5.0
_WINDOW_SECONDS = 10.0
_SHORTEST_SECONDS = 1.0

# Of an older one, most of its life lies before anything that is known.
_YOUNG_SECONDS = 60.0


@dataclass(frozen=True)
class _Look:
    """The machine at one moment.

    Attributes:
        at: seconds since the epoch.
        machine: as read.
        trees: the pids of each container.
        cpu: seconds used so far by each container.
        memory: bytes of the containers for which somebody has asked.
    """

    at: float
    machine: Machine
    trees: Mapping[ProcessName, Sequence[int]] = field(repr=False)
    cpu: Mapping[ProcessName, float] = field(repr=False)
    memory: dict[ProcessName, int] = field(default_factory=dict[ProcessName, int], repr=False)


@dataclass(frozen=True)
class _Rate:
    cpu: float
    window: float


class UsageMeter:
    """Measures what the pods of this node use.

    Args:
        name: the node's name.
        pods: the informer of all pods.
        clock: for the periods.
    """

    def __init__(self, name: str, pods: Informer, *, clock: Clock) -> None:
        self._name = name
        self._pods = pods
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: dict[ProcessName, ProcessName] = {}
        self._regular: deque[_Look] = deque(maxlen=3)
        self._latest: _Look | None = None

    async def run(self) -> None:
        """Look regularly until cancelled."""
        await self._pods.wait_synced()
        while True:
            try:
                async with self._lock:
                    self._regular.append(await self._look())
            except OSError as error:
                logger.warning("the process table cannot be read: %s", error)
            await self._clock.sleep(PERIOD_SECONDS)

    async def nodes(self) -> Sequence[NodeSample]:
        """This node; empty in its first second."""
        look = await self._fresh()
        before = self._before(look)
        if before is None:
            return []
        window = look.machine.up - before.machine.up
        cpu = max(0.0, look.machine.cpu - before.machine.cpu) / window
        usage = ResourceUsage(cpu, await asyncio.to_thread(memory_used))
        return [NodeSample(self._name, look.at, window, usage)]

    async def pods(self, namespace: str | None = None) -> Sequence[PodSample]:
        """The pods of which every running container has run for a second."""
        look = await self._fresh()
        before = self._before(look)
        samples = [await self._pod(pod, look, before) for pod in self._running(namespace)]
        return [sample for sample in samples if sample is not None]

    def _running(self, namespace: str | None = None) -> list[Object]:
        return [
            pod
            for pod in self._pods.items(namespace)
            if part(pod, "spec").get("nodeName") == self._name and not is_over(pod)
        ]

    async def _pod(self, pod: Object, look: _Look, before: _Look | None) -> PodSample | None:
        containers: dict[str, ResourceUsage] = {}
        window = 0.0
        for name, leader in running_containers(pod).items():
            rate = _rate(leader, look, before)
            if rate is None:
                return None
            window = max(window, rate.window)
            # One after the other: this must not keep the threads from those who serve.
            memory = look.memory.get(leader)
            if memory is None:
                memory = await asyncio.to_thread(memory_of, look.trees[leader])
                look.memory[leader] = memory
            containers[name] = ResourceUsage(rate.cpu, memory)
        if not containers:
            return None
        return PodSample(namespace_of(pod), name_of(pod), uid_of(pod), look.at, window, containers)

    async def _fresh(self) -> _Look:
        async with self._lock:
            latest = self._latest
            if latest is None or self._clock.time() - latest.at >= _FRESH_SECONDS:
                latest = await self._look()
            return latest

    async def _look(self) -> _Look:
        pods = self._running()
        leaders = [leader for pod in pods for leader in running_containers(pod).values()]
        machine = await asyncio.to_thread(read_machine)
        trees = members_of(leaders, machine.processes, self._known)
        self._known = {process.name: leader for leader, tree in trees.items() for process in tree}
        self._latest = look = _Look(
            self._clock.time(),
            machine,
            {leader: [process.name.pid for process in tree] for leader, tree in trees.items()},
            {leader: sum(process.cpu for process in tree) for leader, tree in trees.items()},
        )
        return look

    def _before(self, look: _Look) -> _Look | None:
        """The look to compare with: the last that makes a window, or the oldest."""
        ages = [(look.machine.up - other.machine.up, other) for other in self._regular]
        wide = [other for age, other in ages if age >= _WINDOW_SECONDS]
        short = [other for age, other in ages if age >= _SHORTEST_SECONDS]
        return wide[-1] if wide else next(iter(short), None)


def running_containers(pod: Object) -> dict[str, ProcessName]:
    """The first processes of a pod's running containers, by the containers' names."""
    found: dict[str, ProcessName] = {}
    status = dict(status_of(pod))
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in parts(status, kind):
            # Whoever may write a status may have written anything.
            known = _CONTAINER_ID.fullmatch(str(container.get("containerID")))
            if known and "running" in part(container, "state"):
                found[str(container["name"])] = ProcessName(int(known[1]), int(known[2]))
    return found


def _rate(leader: ProcessName, look: _Look, before: _Look | None) -> _Rate | None:
    """The CPU of a container, since the look before or since its start."""
    used = look.cpu.get(leader)
    if used is None:
        return None
    known = before.cpu.get(leader) if before is not None else None
    if before is not None and known is not None:
        window = look.machine.up - before.machine.up
        return _Rate(max(0.0, used - known) / window, window)
    age = age_of(leader, look.machine)
    if not _SHORTEST_SECONDS <= age <= _YOUNG_SECONDS:
        return None
    return _Rate(used / age, age)
