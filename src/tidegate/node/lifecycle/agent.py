"""The agent: a worker for each pod of this node, pods of before adopted, leftovers ended."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, name_of, namespace_of, uid_of
from tidegate.kube.waiting import all_of, first_of
from tidegate.node.fields import is_over
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.lifecycle.host import Host
from tidegate.node.lifecycle.placement import Placement
from tidegate.node.lifecycle.worker import PodWorker, meter_of
from tidegate.node.runtime.contract import Container

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0
_LEFTOVER_GRACE = 2.0


class PodAgent:
    """Follows the pods in the API.

    Args:
        host: the node.
        pods: the informer of all pods.
    """

    def __init__(self, host: Host, pods: Informer) -> None:
        self._host = host
        self._pods = pods
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        pods.add_handler(self._on_pod)

    async def run(self) -> None:
        """Work until cancelled; the pods are left running."""
        await self._pods.wait_synced()
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                known = self._pods.items()
                await self._settle_former({uid_of(pod) for pod in known})
                for pod in sorted(known, key=_is_unbound):
                    self._on_pod(None, pod)
                await asyncio.Event().wait()
            finally:
                self._group = None
                self._workers.clear()
                self._tasks.clear()

    async def halt(self) -> None:
        """Stop all workers, leaving the pods alone, so that the pods can be ended from outside."""
        self._group = None
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        if self._group is None:
            return
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            worker = self._workers.get(uid_of(old))
            if worker is not None:
                worker.vanish()
        if new is None:
            return
        worker = self._workers.get(uid_of(new))
        if worker is not None:
            worker.update(new)
        elif self._is_ours(new):
            self._begin(new)

    def _is_ours(self, pod: Object) -> bool:
        node = pod["spec"].get("nodeName")
        if not node:
            deleting = pod["metadata"].get("deletionTimestamp")
            return not deleting and not pod["spec"].get("schedulingGates")
        return node == self._host.node_name

    def _begin(self, pod: Object) -> None:
        if self._group is None:
            return
        placement: Placement | None = None
        if pod["spec"].get("nodeName") and not is_over(pod):
            placement = self._host.placer.restore(pod)
        worker = PodWorker(self._host, pod, placement)
        uid = uid_of(pod)
        self._workers[uid] = worker
        self._tasks[uid] = self._group.create_task(self._work(uid, worker, pod))

    async def _work(self, uid: str, worker: PodWorker, pod: Object) -> None:
        """Run a worker; one that fails is logged and begun anew from what the API says."""
        try:
            await worker.run()
        except Exception:
            logger.exception("the worker of pod %s failed; again soon", name_of(pod))
            worker.give_up_place()
            await self._host.clock.sleep(_RETRY_SECONDS)
            self._forget(uid)
            current = self._pods.get(name_of(pod), namespace_of(pod))
            if current is None or uid_of(current) != uid:
                directory = PodDirectory(self._host.data_dir, uid)
                await end_pod(self._host, directory, _LEFTOVER_GRACE)
            if current is not None:
                self._on_pod(None, current)
        else:
            self._forget(uid)
            current = self._pods.get(name_of(pod), namespace_of(pod))
            if worker.interrupted and current is not None:
                self._on_pod(None, current)

    def _forget(self, uid: str) -> None:
        self._workers.pop(uid, None)
        self._tasks.pop(uid, None)

    async def _settle_former(self, known: set[str]) -> None:
        """End what still runs of pods that the API no longer has, and the meters of dead ones."""
        for directory in await pod_directories(self._host):
            if directory.path.name not in known:
                await end_pod(self._host, directory, _LEFTOVER_GRACE)
            elif not any(c.is_running for c in await find_containers(self._host, directory)):
                await settle_meter(self._host, directory, self._host.ledger.last_alive)


async def end_pod(host: Host, directory: PodDirectory, grace: float) -> None:
    """End a pod's containers, its meter and its directory, without the API."""
    await end_containers(host, directory, grace, asyncio.Event())
    await settle_meter(host, directory, host.clock.time())
    await asyncio.to_thread(directory.remove)


async def settle_meter(host: Host, directory: PodDirectory, at: float) -> None:
    """Write down what a pod has used until `at`; its next start is metered anew."""
    record = await asyncio.to_thread(directory.record)
    if record is not None:
        host.ledger.start(meter_of(record))
        host.ledger.end(record.uid, at=at)
        await asyncio.to_thread(directory.forget_record)


async def pod_directories(host: Host) -> list[PodDirectory]:
    """Those of all pods that this machine knows."""
    paths = await asyncio.to_thread(_pod_paths, host.data_dir)
    return [PodDirectory(host.data_dir, path.name) for path in paths]


async def end_containers(
    host: Host, directory: PodDirectory, grace: float, hurry: asyncio.Event
) -> None:
    """End all containers of a pod together.

    Args:
        grace: seconds between SIGTERM and SIGKILL.
        hurry: when it is set, there are no more of them.
    """
    containers = await find_containers(host, directory)
    await all_of(*(_end_container(host, container, grace, hurry) for container in containers))


async def find_containers(host: Host, directory: PodDirectory) -> list[Container]:
    """The containers a pod's directory has records of, those that have ended too."""
    paths = await asyncio.to_thread(lambda: list(directory.path.glob("containers/*/*/record.json")))
    found = [await host.runtime.adopt(path.parent) for path in paths]
    return [container for container in found if container is not None]


async def _end_container(
    host: Host, container: Container, grace: float, hurry: asyncio.Event
) -> None:
    container.signal(signal.SIGTERM)
    if await first_of(container.wait(), host.clock.sleep(grace), hurry.wait()) != 0:
        container.signal(signal.SIGKILL)
        await container.wait()


def _pod_paths(data_dir: Path) -> list[Path]:
    root = data_dir / "pods"
    return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


def _is_unbound(pod: Object) -> bool:
    return not pod["spec"].get("nodeName")
