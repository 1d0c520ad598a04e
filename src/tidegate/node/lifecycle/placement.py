"""Giving a pod its place: a node that may take it, spec by stock, GPUs, ports.

What is missing is waited for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.kube.clock import Clock
from tidegate.kube.errors import InternalFault, UserError
from tidegate.kube.objects import Object, annotations_of, labels_of
from tidegate.kube.real_ports import PORTS_ANNOTATION, ports_annotation, real_ports_of
from tidegate.kube.waiting import first_of
from tidegate.node.fields import part, parts
from tidegate.node.gpus import GPU_RESOURCE, Gpus
from tidegate.node.lifecycle.scheduling import refusal
from tidegate.node.ports import PortAllocator
from tidegate.node.specs import (
    PRICE_ANNOTATION,
    SPEC_ANNOTATION,
    SpecError,
    SpecTable,
    choose,
)

GPUS_ANNOTATION = "tidegate.dev/gpus"

# A port that has rested is free without anybody giving it back.
_LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Placement:
    """What a pod has of the node.

    Attributes:
        spec: name of its instance spec.
        price: per hour.
        gpus: indexes of its GPUs.
        ports: container port -> real port.
    """

    spec: str
    price: float
    gpus: tuple[int, ...]
    ports: dict[int, int]

    def annotations(self) -> dict[str, str]:
        """What stands on the pod, and from what `Placer.restore` reads it back."""
        written = {
            SPEC_ANNOTATION: self.spec,
            PRICE_ANNOTATION: f"{self.price:g}",
            PORTS_ANNOTATION: ports_annotation(self.ports),
        }
        if self.gpus:
            written[GPUS_ANNOTATION] = ",".join(str(index) for index in self.gpus)
        return written


class Placer:
    """Keeps account of specs, GPUs, ports and the number of pods.

    Args:
        table: the specs there are.
        gpus: those of the machine.
        ports: the allocator.
        max_pods: how many pods the node takes.
        clock: for looking again.
    """

    def __init__(
        self, table: SpecTable, *, gpus: Gpus, ports: PortAllocator, max_pods: int, clock: Clock
    ) -> None:
        self._table = table
        self._gpus = gpus
        self._ports = ports
        self._max_pods = max_pods
        self._clock = clock
        self._specs: Counter[str] = Counter()
        self._pods = 0
        self._node: Object = {"metadata": {"name": ""}}
        self._freed = asyncio.Event()

    def observe_node(self, node: Object) -> None:
        """The Node object is this now; pods that wait try again if that may concern them."""
        before, self._node = self._node, node
        if _choosers(node) != _choosers(before):
            self._wake()

    async def place(
        self,
        pod: Callable[[], Object],
        container_ports: Iterable[int],
        refused: Callable[[str], Awaitable[None]],
        *,
        itself: Collection[int] = (),
        changed: asyncio.Event | None = None,
    ) -> Placement:
        """Wait for a place; `refused` is told why there is none, once per reason.

        Args:
            pod: reads its newest state.
            itself: container ports that are best their own real ports.
            changed: set when the pod has changed.
        """
        changed = changed or asyncio.Event()
        told = ""
        while True:
            # Taken before the look: what is given back while `refused` is told counts as well.
            freed = self._freed
            changed.clear()
            try:
                placement, problem = self._try(pod(), container_ports, itself)
            except UserError as error:
                placement, problem = None, str(error)
            if placement is not None:
                return placement
            if problem != told:
                told = problem
                await refused(problem)
            await first_of(freed.wait(), changed.wait(), self._clock.sleep(_LOOK_SECONDS))

    def restore(self, pod: Object) -> Placement:
        """Account for a pod that has its place from before."""
        annotations = annotations_of(pod)
        name = annotations.get(SPEC_ANNOTATION) or self._table.default
        indexes = annotations.get(GPUS_ANNOTATION, "").split(",")
        placement = Placement(
            spec=name,
            price=self._price(name, annotations.get(PRICE_ANNOTATION, "")),
            gpus=tuple(int(index) for index in indexes if index.isdecimal()),
            ports=real_ports_of(pod),
        )
        self._specs[name] += 1
        self._pods += 1
        self._gpus.hold(placement.gpus)
        self._ports.hold(placement.ports.values())
        return placement

    def add_ports(
        self, placement: Placement, container_ports: Iterable[int], itself: Collection[int] = ()
    ) -> Placement:
        """The placement with ports for those that have none yet, or none of them.

        Args:
            itself: container ports that are best their own real ports.
        Raises:
            InternalFault: there are too few.
        """
        added: dict[int, int] = {}
        try:
            for port in container_ports:
                if port not in placement.ports and port not in added:
                    own = port in itself and self._ports.take(port)
                    added[port] = port if own else self._ports.allocate()
        except InternalFault:
            self._ports.return_unused(added.values())
            raise
        return replace(placement, ports={**placement.ports, **added})

    def release(self, placement: Placement) -> None:
        """Give everything back; pods that wait try again."""
        self._specs[placement.spec] -= 1
        self._pods -= 1
        self._gpus.release(placement.gpus)
        self._ports.release(placement.ports.values())
        self._wake()

    def _wake(self) -> None:
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    def _try(
        self, pod: Object, container_ports: Iterable[int], itself: Collection[int]
    ) -> tuple[Placement | None, str]:
        problem = refusal(pod, self._node)
        if problem:
            return None, f"0/1 nodes are available: 1 {problem}"
        if self._pods >= self._max_pods:
            return None, f"0/1 nodes are available: the node has its {self._max_pods} pods"
        choices = self._table.choices(annotations_of(pod))
        spec = choose(choices, self._specs)
        if spec is None:
            names = ", ".join(choice.name for choice in choices)
            return None, f"0/1 nodes are available: out of stock: {names}"
        wanted = gpus_wanted(pod)
        gpus = self._gpus.take(wanted) if wanted else self._gpus.take_free(spec.gpus)
        if gpus is None:
            return None, (
                f"0/1 nodes are available: Insufficient {GPU_RESOURCE}"
                f" ({wanted} asked for, the machine has {self._gpus.count})"
            )
        portless = Placement(spec.name, spec.price, gpus, {})
        try:
            placement = self.add_ports(portless, container_ports, itself)
        except InternalFault as error:
            self._gpus.release(gpus)
            return None, f"0/1 nodes are available: {error}"
        self._specs[spec.name] += 1
        self._pods += 1
        return placement, ""

    def _price(self, name: str, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            pass
        try:
            return self._table.spec(name).price
        except SpecError:
            return 0.0


def _choosers(node: Object) -> tuple[Object, Mapping[str, str]]:
    """What of a node decides which pods it may take."""
    return part(node, "spec"), labels_of(node)


def gpus_wanted(pod: Object) -> int:
    """The sum of the containers' GPU limits. Raises UserError when one is no number."""
    total = 0
    for container in parts(pod["spec"], "containers"):
        limits = part(part(container, "resources"), "limits")
        value = str(limits.get(GPU_RESOURCE, 0))
        if not value.isdecimal():
            raise UserError(f"container {container['name']}: {GPU_RESOURCE}: {value!r} is no count")
        total += int(value)
    return total
