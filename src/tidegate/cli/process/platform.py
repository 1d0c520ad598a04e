"""The composition: every part with its own identity, in one process and one task group.

The parts know each other only through the API; what is passed by hand here is demand (gateway to
autoscaler), logs, commands, ports and usage (node to API) and tokens (API to node).
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import uvloop

from tidegate.apiserver import assembly as apiserver
from tidegate.apiserver.assembly import ApiServer, ApiServerSettings
from tidegate.autoscaling import assembly as autoscaling
from tidegate.autoscaling.gateways import Gateways
from tidegate.autoscaling.remote_gateways import RemoteGateways
from tidegate.cli.process import running
from tidegate.cli.process.readiness import READY, Announcer
from tidegate.cli.records.settings import Settings
from tidegate.console import assembly as console
from tidegate.console.assembly import Console, ConsoleSettings
from tidegate.gateway import assembly as gateway
from tidegate.gateway.assembly import Gateway
from tidegate.kube.client import Client
from tidegate.kube.clock import Clock, SystemClock
from tidegate.kube.controller import Context, Runnable
from tidegate.kube.informer import Informers
from tidegate.kube.remote import connect
from tidegate.kube.resources import SERVICE_ACCOUNTS
from tidegate.node import assembly as node
from tidegate.node.assembly import Node, NodeSettings
from tidegate.node.lifecycle.host import TokenSource
from tidegate.observability import assembly as observability
from tidegate.observability.assembly import Observability
from tidegate.serving import assembly as serving
from tidegate.serving.assembly import ServingSettings
from tidegate.workloads import assembly as workloads

logger = logging.getLogger(__name__)

NODE = "tidegate"
WORKLOADS = "system:kube-controller-manager"
SERVING = "system:serviceaccount:knative-serving:controller"
AUTOSCALER = "system:serviceaccount:knative-serving:autoscaler"
GATEWAY = "system:serviceaccount:tidegate-system:gateway"
CONSOLE = "system:serviceaccount:tidegate-system:console"


def run(settings: Settings, announcer: Announcer) -> None:
    """Run the platform until SIGTERM (the control plane alone ends) or SIGINT (all of it).

    Raises:
        UserError: it cannot start.
    """
    running.use_all_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        platform = Platform(settings, clock=SystemClock())
        work = platform.run(announcer)
        runner.run(running.until_signalled(work, stop=partial(stop_all, settings)))


async def stop_all(settings: Settings, at_once: asyncio.Event | None = None) -> None:
    """End pods and gateway, for a platform whose control plane has ended.

    Args:
        at_once: when it is set, nothing gets any more time.
    """
    async with connect(settings.kubeconfig) as client:
        context = _context(client, SystemClock())
        await _node(context, settings, tokens=_NoTokens()).stop_pods(at_once=at_once)
        await _gateway(context, settings).stop_proxy(at_once)


class Platform:
    """All parts of one machine's platform."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._api = apiserver.build(
            ApiServerSettings(
                settings.data_dir, bind=settings.bind, port=settings.api_port, node_name=NODE
            ),
            clock,
        )

    async def run(self, announcer: Announcer) -> None:
        """Run until cancelled; pods and gateway outlive the cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._api.run())
            await self._api.wait_ready()
            announcer.stage(f"API answers at {self._api.url}")
            node_context, pods = self._node()
            gateway_context = self._as(GATEWAY)
            doors = _gateway(gateway_context, self._settings)
            console_context, numbers, pages = self._console(pods, doors)
            for context, parts in (
                (node_context, [pods]),
                (gateway_context, [doors]),
                self._workloads(),
                self._serving(),
                self._autoscaling(doors),
                (console_context, [numbers, pages]),
            ):
                for part in (context.informers, *parts):
                    group.create_task(part.run())
            await doors.wait_ready()
            announcer.stage(f"gateway answers at {self._settings.door.addresses}")
            await pages.wait_ready()
            announcer.stage(f"console at {pages.login_url}")
            announcer.stage(READY)
            logger.info("the platform is up")

    def _node(self) -> tuple[Context, Node]:
        context = self._as(f"system:node:{NODE}", "system:nodes")
        pods = _node(context, self._settings, tokens=_AccountTokens(self._api))
        self._api.attach_logs(pods.logs)
        self._api.attach_commands(pods.commands)
        self._api.attach_ports(pods.ports)
        self._api.attach_usage(pods.resources)
        return context, pods

    def _console(self, pods: Node, doors: Gateway) -> tuple[Context, Observability, Console]:
        context = self._as(CONSOLE)
        numbers = observability.build(context, requests=doors.records, loads=doors.demand)
        settings = ConsoleSettings(
            self._settings.console_token_file,
            bind=self._settings.bind,
            port=self._settings.console_port,
        )
        pages = console.build(
            context, settings, observability=numbers, usages=pods.usage, logs=pods.logs
        )
        return context, numbers, pages

    def _workloads(self) -> tuple[Context, list[Runnable]]:
        context = self._as(WORKLOADS)
        collected = self._api.builtin_resources()
        parts = workloads.build(
            context,
            collected=collected,
            root_ca=self._api.root_ca,
            sign=self._api.issue_secret_token,
        )
        return context, parts

    def _serving(self) -> tuple[Context, list[Runnable]]:
        context = self._as(SERVING)
        settings = ServingSettings(
            gateway_port=self._settings.gateway_port,
            gateway_address=self._settings.bind,
            https_port=self._settings.https_port,
        )
        return context, serving.build(context, settings=settings)

    def _autoscaling(self, doors: Gateway) -> tuple[Context, list[Runnable]]:
        context = self._as(AUTOSCALER)
        others = RemoteGateways(context, near=doors.demand.gateways)
        return context, autoscaling.build(context, Gateways((doors.demand, others), self._clock))

    def _as(self, username: str, *groups: str) -> Context:
        return _context(self._api.client(username, groups), self._clock)


class _AccountTokens:
    """Gives the node tokens of the pods' service accounts, as the API's TokenRequest would."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._client = api.client(f"system:node:{NODE}", ("system:nodes",))

    async def token(
        self,
        *,
        namespace: str,
        service_account: str,
        pod_name: str,
        pod_uid: str,
        expiration_seconds: int,
        audiences: tuple[str, ...] = (),
    ) -> str:
        account = await self._client.get(SERVICE_ACCOUNTS, service_account, namespace=namespace)
        token, _ = self._api.issue_token(
            namespace=namespace,
            name=service_account,
            uid=account["metadata"]["uid"],
            audiences=audiences,
            seconds=expiration_seconds,
            pod=(pod_name, pod_uid),
        )
        return token


class _NoTokens:
    """For a node that only ends pods."""

    async def token(self, **_: object) -> str:
        raise AssertionError("a node that ends pods asks for no tokens")


def _node(context: Context, settings: Settings, *, tokens: TokenSource) -> Node:
    node_settings = NodeSettings(
        data_dir=settings.data_dir,
        image_dirs=settings.image_dirs,
        api_server_host=settings.bind,
        api_server_port=settings.api_port,
        ca_file=settings.data_dir / "pki" / "ca.crt",
        name=NODE,
        bind=settings.bind,
    )
    return node.build(context, node_settings, tokens)


def _gateway(context: Context, settings: Settings) -> Gateway:
    return gateway.build(context, settings.door.settings())


def _context(client: Client, clock: Clock) -> Context:
    return Context(client, Informers(client, clock=clock), clock)
