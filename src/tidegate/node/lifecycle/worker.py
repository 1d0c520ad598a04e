"""The worker of one pod: place, containers, end. It may be cancelled and begun anew anywhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from tidegate.kube.clock import parse_rfc3339, rfc3339
from tidegate.kube.errors import ApiError, NotFound
from tidegate.kube.objects import Object, annotations_of, is_deleting, name_of, namespace_of, uid_of
from tidegate.kube.resources import PODS
from tidegate.kube.waiting import first_of
from tidegate.node.fields import grace_of, is_over
from tidegate.node.images.errors import ImageError
from tidegate.node.lifecycle.container import ContainerRunner
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.directory import PodDirectory, PodRecord
from tidegate.node.lifecycle.environment import wanted_ports
from tidegate.node.lifecycle.host import Host
from tidegate.node.lifecycle.placement import Placement
from tidegate.node.lifecycle.reporter import StatusReporter
from tidegate.node.lifecycle.sources import ConfigError
from tidegate.node.lifecycle.status import LATE, Failure, pod_status, unschedulable_status
from tidegate.node.lifecycle.volumes import is_refreshed
from tidegate.node.meter import Meter

logger = logging.getLogger(__name__)

STARTED_ANNOTATION = "tidegate.dev/started-at"
_VANISHED_GRACE = 2.0
_LEAST_GRACE = 2.0
_RETRY_SECONDS = 2.0

# kubelet's takes up to a minute.
_REFRESH_SECONDS = 10.0

# Between the binding and the directory lies less.
_RESTATE_SECONDS = 5.0


class PodWorker:
    """Brings one pod from its creation to its end.

    Args:
        host: the node.
        pod: as first seen.
        placement: what it has from before, if it is bound already.

    Attributes:
        interrupted: the pod was to end while it was being bound; whether it is bound is open.
    """

    def __init__(self, host: Host, pod: Object, placement: Placement | None) -> None:
        self._host = host
        self._pod = pod
        self._placement = placement
        self._context: PodContext | None = None
        self._deleting = asyncio.Event()
        self._updated = asyncio.Event()
        self._overdue = asyncio.Event()
        self._failure: Failure | None = None
        self._vanished = False
        self._terminating = False
        self._scheduled = 0.0
        self._started = 0.0
        self.interrupted = False
        self._init: list[ContainerRunner] = []
        self._containers: list[ContainerRunner] = []
        self._reporter: StatusReporter | None = None
        self.update(pod)

    def update(self, pod: Object) -> None:
        """The pod has changed."""
        self._pod = pod
        self._updated.set()
        if self._context is not None:
            self._context.observe(pod)
            if pod["spec"].get("readinessGates"):
                self._context.changed(False)
        if is_deleting(pod):
            self._deleting.set()

    def vanish(self) -> None:
        """The API no longer has the pod."""
        self._vanished = True
        self._deleting.set()

    async def run(self) -> None:
        """Until the pod is gone; when cancelled, its containers are left alone."""
        if is_over(self._pod):
            await self._wait_for_removal()
            return
        if self._placement is None and not await self._unless_deleted(self._bind()):
            self.interrupted = True
            return
        if self._placement is None:
            return
        self._context = PodContext(self._host, self._pod, self._placement, self._changed)
        await asyncio.to_thread(self._open_directory, self._context.directory, self._placement)
        await self._restate_start(self._context)
        self._make_runners(self._context)
        # Before anything may end the pod, for only what is known can be ended.
        for runner in (*self._init, *self._containers):
            await runner.adopt()
        self._reporter = reporter = StatusReporter(
            self._host, read=self._read, build=self._status, written=self._context.observe
        )
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(reporter.run()),
                group.create_task(self._refresh_volumes(self._context)),
                group.create_task(self._watch_deadline()),
            ]
            await self._unless_deleted(self._run_in_time())
            if not self._deleting.is_set():
                await self._complete()
            await self._terminate()
            for task in tasks:
                task.cancel()
        await self._remove()

    # Place

    async def _bind(self) -> None:
        """Find a place and write it on the pod."""
        wanted: list[int] = []
        itself: set[int] = set()
        for spec in _all_containers(self._pod):
            ports, own = await self._ports(spec)
            wanted += ports
            itself |= own
        placement = await self._host.placer.place(
            lambda: self._pod, wanted, self._refused, itself=itself, changed=self._updated
        )
        try:
            bound = await self._host.client.patch(
                PODS,
                name_of(self._pod),
                {
                    "metadata": {
                        "uid": uid_of(self._pod),
                        "annotations": {
                            **placement.annotations(),
                            STARTED_ANNOTATION: rfc3339(self._host.clock.time()),
                        },
                    },
                    "spec": {"nodeName": self._host.node_name},
                },
                namespace=namespace_of(self._pod),
            )
        except BaseException:
            self._host.placer.release(placement)
            raise
        self._scheduled = self._host.clock.time()
        self._placement = placement
        self._pod = bound
        self._host.events.normal(
            bound,
            "Scheduled",
            f"Successfully assigned {namespace_of(bound)}/{name_of(bound)} to"
            f" {self._host.node_name} ({placement.spec})",
        )

    async def _ports(self, container: Object) -> tuple[list[int], set[int]]:
        try:
            source = await self._host.images.find(str(container.get("image") or ""))
        except ImageError:
            # The rest of the ports follows when the image is known.
            return wanted_ports(self._pod, container, ())
        return wanted_ports(self._pod, container, source.manifest.ports)

    async def _refused(self, message: str) -> None:
        self._host.events.warning(self._pod, "FailedScheduling", message)
        status = unschedulable_status(self._pod, message, now=self._host.clock.time())
        try:
            await self._host.client.patch(
                PODS,
                name_of(self._pod),
                {"status": status},
                namespace=namespace_of(self._pod),
                subresource="status",
            )
        except ApiError as error:
            logger.warning("status of pod %s: %s", name_of(self._pod), error)

    # Run

    def _open_directory(self, directory: PodDirectory, placement: Placement) -> None:
        known = directory.record()
        pod, now = self._pod, self._host.clock.time()
        if known is None:
            known = PodRecord(
                namespace=namespace_of(pod),
                name=name_of(pod),
                uid=uid_of(pod),
                spec=placement.spec,
                price=placement.price,
                started=now,
                grace=grace_of(pod),
            )
        directory.create(known)
        self._started = known.started
        self._host.ledger.start(meter_of(known))

    async def _restate_start(self, context: PodContext) -> None:
        """Say on the pod when its meter began anew, after the whole platform was down."""
        said = _started_at(context.pod)
        if said is not None and self._started - said < _RESTATE_SECONDS:
            return
        annotations = {STARTED_ANNOTATION: rfc3339(self._started)}
        try:
            written = await self._host.client.patch(
                PODS,
                name_of(context.pod),
                {"metadata": {"annotations": annotations}},
                namespace=namespace_of(context.pod),
            )
        except ApiError as error:
            logger.warning("annotations of pod %s: %s", name_of(context.pod), error)
        else:
            context.observe(written)

    def _make_runners(self, context: PodContext) -> None:
        spec = context.pod["spec"]
        self._init = [
            ContainerRunner(context, item, init=True) for item in spec.get("initContainers") or ()
        ]
        self._containers = [ContainerRunner(context, item) for item in spec["containers"]]

    async def _run_in_time(self) -> None:
        """The containers, until they are done or the pod's deadline has come."""
        if await first_of(self._run_containers(), self._overdue.wait()) == 0:
            return
        await self._stop_containers(grace_of(self._read()))
        # Only now, for nobody looks after the containers of a pod that is over.
        self._failure = LATE
        self._host.events.normal(self._read(), LATE.reason, LATE.message)
        self._changed(True)

    async def _watch_deadline(self) -> None:
        """Notice when `activeDeadlineSeconds`, which may come later, have passed."""
        while True:
            self._updated.clear()
            limit = self._read()["spec"].get("activeDeadlineSeconds")
            if limit is None:
                await self._updated.wait()
                continue
            left = self._started + float(limit) - self._host.clock.time()
            if left <= 0:
                self._overdue.set()
                return
            await first_of(self._updated.wait(), self._host.clock.sleep(left))

    async def _run_containers(self) -> None:
        async with asyncio.TaskGroup() as sidecars:
            beside: list[asyncio.Task[None]] = []
            for runner in self._init:
                if runner.is_sidecar:
                    beside.append(sidecars.create_task(runner.run()))
                    await runner.wait_started()
                    continue
                await runner.run()
                if not runner.view.succeeded:
                    break
            else:
                await self._run_main_containers()
            for task in beside:
                task.cancel()
        if not self._deleting.is_set():
            await self._stop(self._sidecars(), grace_of(self._read()))

    async def _run_main_containers(self) -> None:
        async with asyncio.TaskGroup() as group:
            for runner in self._containers:
                group.create_task(runner.run())

    def _sidecars(self) -> list[ContainerRunner]:
        """Those that run beside the others, in the order in which they end."""
        return [runner for runner in reversed(self._init) if runner.is_sidecar]

    async def _stop(self, runners: Iterable[ContainerRunner], grace: float) -> None:
        async with asyncio.TaskGroup() as group:
            for runner in runners:
                group.create_task(runner.stop(grace))

    async def _complete(self) -> None:
        """All containers are done: the meter stops, the place is free, the logs stay."""
        await self._flush()
        self._host.ledger.end(uid_of(self._pod))
        self._release()
        await self._deleting.wait()

    async def _refresh_volumes(self, context: PodContext) -> None:
        """Follow what the volumes are made of; what has gone leaves the files as they were."""
        if not is_refreshed(context.pod):
            return
        while True:
            await self._host.clock.sleep(_REFRESH_SECONDS)
            try:
                await context.volumes.make(context.pod)
            except (ConfigError, ApiError) as error:
                logger.debug("volumes of pod %s: %s", name_of(context.pod), error)

    # End

    async def _terminate(self) -> None:
        self._terminating = True
        self._changed(True)
        await self._stop_containers(_VANISHED_GRACE if self._vanished else grace_of(self._read()))

    async def _stop_containers(self, grace: float) -> None:
        deadline = self._host.clock.monotonic() + grace
        others = [runner for runner in self._init if not runner.is_sidecar]
        await self._stop((*others, *self._containers), grace)
        # What the containers send through a sidecar while they end must still get through.
        left = max(_LEAST_GRACE, deadline - self._host.clock.monotonic())
        await self._stop(self._sidecars(), left)

    async def _remove(self) -> None:
        """Nothing runs any more: say so, give everything back, let the API forget the pod."""
        self._host.ledger.end(uid_of(self._pod))
        if not self._vanished:
            await self._flush()
            await self._delete()
        self._release()
        await asyncio.to_thread(PodDirectory(self._host.data_dir, uid_of(self._pod)).remove)

    async def _delete(self) -> None:
        while True:
            try:
                await self._host.client.delete(
                    PODS,
                    name_of(self._pod),
                    namespace=namespace_of(self._pod),
                    uid=uid_of(self._pod),
                    grace_period_seconds=0,
                )
            except NotFound:
                return
            except ApiError as error:
                logger.warning("deleting pod %s: %s; again soon", name_of(self._pod), error)
                await self._host.clock.sleep(_RETRY_SECONDS)
            else:
                return

    async def _wait_for_removal(self) -> None:
        await self._deleting.wait()
        await self._remove()

    # Helpers

    def give_up_place(self) -> None:
        """Give the place back after a failure; the next worker takes it anew."""
        self._release()

    def _release(self) -> None:
        if self._placement is not None:
            # Ports may have been added since.
            held = self._context.placement if self._context else self._placement
            self._host.placer.release(held)
            self._placement = None

    async def _flush(self) -> None:
        try:
            if self._reporter is not None:
                await self._reporter.flush()
        except ApiError as error:
            logger.debug("last status of pod %s: %s", name_of(self._pod), error)

    def _changed(self, urgent: bool) -> None:
        if self._reporter is not None:
            self._reporter.changed(urgent=urgent)

    def _read(self) -> Object:
        return self._context.pod if self._context else self._pod

    def _status(self) -> Object:
        return pod_status(
            self._read(),
            [runner.view for runner in self._init],
            [runner.view for runner in self._containers],
            scheduled=self._scheduled,
            started=self._started,
            terminating=self._terminating,
            failure=self._failure,
            now=self._host.clock.time(),
        )

    async def _unless_deleted(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do `work`, but stop when the pod is to end; whether it was done."""
        return await first_of(work, self._deleting.wait()) == 0


def meter_of(record: PodRecord) -> Meter:
    """The meter that the record of a pod stands for."""
    return Meter(
        namespace=record.namespace,
        pod=record.name,
        uid=record.uid,
        spec=record.spec,
        price=record.price,
        started=record.started,
    )


def _started_at(pod: Object) -> float | None:
    """When the pod says that it was started; users may write annotations too."""
    try:
        return parse_rfc3339(annotations_of(pod)[STARTED_ANNOTATION])
    except (KeyError, ValueError):
        return None


def _all_containers(pod: Object) -> list[Object]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
