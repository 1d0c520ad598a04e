"""Puts the virtual node together."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tidegate import __version__
from tidegate.kube.controller import Context
from tidegate.kube.errors import TidegateError
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import Object, name_of
from tidegate.kube.resources import NODES, PODS
from tidegate.kube.waiting import all_of
from tidegate.node.exec import CommandSource
from tidegate.node.gpus import Gpus, count_gpus
from tidegate.node.heartbeat import Heartbeat
from tidegate.node.images.environments import Environments
from tidegate.node.images.garbage import Marks
from tidegate.node.images.store import ImageStore
from tidegate.node.lifecycle.agent import (
    PodAgent,
    end_containers,
    pod_directories,
    settle_meter,
)
from tidegate.node.lifecycle.events import Events
from tidegate.node.lifecycle.host import Host, TokenSource
from tidegate.node.lifecycle.placement import Placer
from tidegate.node.logs import LogSource
from tidegate.node.meter import Ledger, PodUsage
from tidegate.node.port_forward import PortSource
from tidegate.node.ports import PortAllocator
from tidegate.node.runtime.process.runtime import ProcessRuntime
from tidegate.node.service_proxy.controller import ServiceProxy
from tidegate.node.specs import load_table
from tidegate.node.usage import UsageMeter

logger = logging.getLogger(__name__)

# As kubelet's.
_GARBAGE_PERIOD_SECONDS = 300.0


@dataclass(frozen=True)
class NodeSettings:
    """What the node is told.

    Attributes:
        data_dir: the platform's data directory.
        image_dirs: directories whose subdirectories are images known from the start.
        api_server_host, api_server_port: where pods find the Kubernetes API.
        ca_file: its certificate authority.
        name: of the Node object.
        bind: the address on which NodePorts are served.
        first_port, last_port: the range of the pods' real ports.
        max_pods: how many pods the node takes.
        warm_templates: images without pods that stay warm.
        environment_timeout: seconds that building an image's environment may take.
        spec_table: the operator's instance specs and prices; None for the examples shipped here.
    """

    data_dir: Path
    image_dirs: tuple[Path, ...]
    api_server_host: str
    api_server_port: int
    ca_file: Path
    name: str = "tidegate"
    bind: str = "127.0.0.1"
    first_port: int = 20000
    last_port: int = 29999
    max_pods: int = 250
    warm_templates: int = 8
    environment_timeout: float = 900.0
    spec_table: Path | None = None


class Node:
    """The virtual node. A cancelled `run` leaves the pods running, `stop_pods` ends them.

    Attributes:
        logs: the containers' logs.
        commands: runs commands in the containers.
        ports: connects to the containers' ports.
        resources: what the pods use of CPU and memory.
    """

    def __init__(self, context: Context, settings: NodeSettings, tokens: TokenSource) -> None:
        self._context = context
        self._settings = settings
        self._gpus = Gpus(0)
        self._ports = PortAllocator(settings.first_port, settings.last_port, clock=context.clock)
        pods = context.informers.of(PODS)
        self._registered = asyncio.Event()
        context.informers.of(NODES).add_handler(self._node_changed)
        clock = context.clock
        self._table = load_table(settings.spec_table)
        recorder = EventRecorder(context.client, "kubelet", clock=clock)
        self._ledger = Ledger(settings.data_dir, clock=clock)
        self._runtime = ProcessRuntime(settings.data_dir, clock=clock, keep=settings.warm_templates)
        environments = Environments(settings.data_dir, timeout=settings.environment_timeout)
        self._host = Host(
            client=context.client,
            clock=clock,
            images=ImageStore(settings.data_dir, settings.image_dirs, environments=environments),
            runtime=self._runtime,
            placer=Placer(
                self._table,
                gpus=self._gpus,
                ports=self._ports,
                max_pods=settings.max_pods,
                clock=clock,
            ),
            ledger=self._ledger,
            events=Events(recorder),
            tokens=tokens,
            node_name=settings.name,
            data_dir=settings.data_dir,
            api_host=settings.api_server_host,
            api_port=settings.api_server_port,
            ca_file=settings.ca_file,
        )
        self._agent = PodAgent(self._host, pods)
        self._service_proxy = ServiceProxy(context, bind=settings.bind)
        self.logs = LogSource(settings.data_dir, pods, clock=clock)
        self.ports = PortSource(pods)
        self.resources = UsageMeter(settings.name, pods, clock=clock)
        self.commands = CommandSource(settings.data_dir, pods, self._runtime)

    async def run(self) -> None:
        """Be a node until cancelled."""
        self._gpus.set_count(await count_gpus())
        heartbeat = Heartbeat(
            self._context.client,
            clock=self._context.clock,
            name=self._settings.name,
            address=_reachable(self._settings.bind),
            gpus=self._gpus.count,
            max_pods=self._settings.max_pods,
            version=__version__,
        )
        with closing(self._ports):
            await self._run_parts(heartbeat)

    async def _run_parts(self, heartbeat: Heartbeat) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat.run())
            group.create_task(self._host.events.run())
            group.create_task(self._ledger.run())
            group.create_task(self._runtime.run())
            group.create_task(self._take_pods())
            group.create_task(self._service_proxy.run())
            group.create_task(self._collect_garbage())
            group.create_task(self.resources.run())

    async def _take_pods(self) -> None:
        # Which pods the node may take stands in its object.
        await self._registered.wait()
        await self._agent.run()

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        del old
        if new is not None and name_of(new) == self._settings.name:
            self._host.placer.observe_node(new)
            self._registered.set()

    async def _collect_garbage(self) -> None:
        while True:
            await self._context.clock.sleep(_GARBAGE_PERIOD_SECONDS)
            try:
                for path in await self._host.images.collect_garbage(Marks()):
                    logger.info("removed %s: the disk is full and no pod needs it", path)
            except (OSError, TidegateError) as error:
                logger.warning("the images cannot be tidied up: %s", error)

    @property
    def currency(self) -> str:
        """The currency of the price table, for what `usage` says."""
        return self._table.currency

    def usage(self) -> list[PodUsage]:
        """Seconds and cost of the pods: running ones, then those that ended last."""
        return self._ledger.usage()

    async def stop_pods(self, *, grace: float = 10.0, at_once: asyncio.Event | None = None) -> None:
        """End every pod's processes and all templates; the API keeps the pods.

        Works whether or not `run` is running, also for what an earlier control plane started.

        Args:
            grace: seconds at most between SIGTERM and SIGKILL.
            at_once: when it is set, there are no more of them.
        """
        hurry = at_once or asyncio.Event()
        await self._agent.halt()
        directories = await pod_directories(self._host)
        await all_of(*(end_containers(self._host, one, grace, hurry) for one in directories))
        for directory in directories:
            await settle_meter(self._host, directory, self._host.clock.time())
        await self._runtime.shutdown()


def _reachable(bind: str) -> str:
    return "127.0.0.1" if ipaddress.ip_address(bind).is_unspecified else bind


def build(context: Context, settings: NodeSettings, tokens: TokenSource) -> Node:
    """The virtual node; the composition runs the context's informers beside it.

    Raises:
        UserError: the table of specs cannot be used.
    """
    return Node(context, settings, tokens)
