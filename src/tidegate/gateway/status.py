"""What the gateway tells the API: routes that are served, and pods that are drained."""

from __future__ import annotations

import logging
from typing import Any

from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.apis.serving import GROUP
from tidegate.gateway import reading
from tidegate.gateway.agent import Agent, Outcome
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import Conflict
from tidegate.kube.objects import (
    Key,
    Object,
    conditions_of,
    controller_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    resource_version_of,
    with_condition,
)
from tidegate.kube.resources import INGRESSES, PODS

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 0.05
_SETTLE_SECONDS = 0.01
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class RouteStatus:
    """Writes the status of KIngresses, and of the Ingresses that show them to people."""

    def __init__(self, context: Context, agent: Agent, settings: GatewaySettings) -> None:
        self._context = context
        self._agent = agent
        self._address = _ANY_ADDRESS.get(settings.bind, settings.bind)
        self._port = settings.port
        self._kingresses = context.informers.of(KINGRESSES)
        self._ingresses = context.informers.of(INGRESSES)
        clock = context.clock
        self._routes = Controller("gateway-routes", self._write_route, clock=clock)
        self._routes.watch(self._kingresses)
        agent.on_outcome(self._routes.queue.add)
        self._people = Controller("gateway-ingresses", self._write_ingress, clock=clock)
        self._people.watch(self._ingresses)

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """To be run."""
        return (self._routes, self._people)

    async def _write_route(self, key: Key) -> None:
        obj = self._kingresses.get(key.name, key.namespace)
        outcome = self._agent.outcome(key)
        if obj is None or outcome is None or is_deleting(obj):
            return
        status = self._route_status(obj, outcome)
        if status != obj.get("status"):
            await self._context.client.patch(
                KINGRESSES,
                key.name,
                {"status": status},
                namespace=key.namespace,
                subresource="status",
            )

    def _route_status(self, obj: Object, outcome: Outcome) -> Object:
        now = rfc3339(self._context.clock.time())
        conditions = conditions_of(obj)
        for name in ("NetworkConfigured", "LoadBalancerReady", "Ready"):
            condition: Object = {"type": name, "status": "True"}
            if outcome.problem and name != "LoadBalancerReady":
                condition |= {
                    "status": "False",
                    "reason": "RouteNotServed",
                    "message": outcome.problem,
                }
            conditions = with_condition(conditions, condition, now=now)
        balancer: Object = {"ingress": [{"ip": self._address}]}
        return {
            "observedGeneration": outcome.generation,
            "conditions": conditions,
            "publicLoadBalancer": balancer,
            "privateLoadBalancer": balancer,
        }

    async def _write_ingress(self, key: Key) -> None:
        obj = self._ingresses.get(key.name, key.namespace)
        if obj is None or is_deleting(obj) or not _is_ours(obj):
            return
        entry: Object = {
            "ip": self._address,
            "ports": [{"port": self._port, "protocol": "TCP"}],
        }
        status: dict[str, Any] = {"loadBalancer": {"ingress": [entry]}}
        if status != obj.get("status"):
            await self._context.client.patch(
                INGRESSES,
                key.name,
                {"status": status},
                namespace=key.namespace,
                subresource="status",
            )


class Drains:
    """Says of each pod that is to drain when this gateway has nothing in flight there any more.

    Every gateway adds its name to the pod's annotation.
    """

    def __init__(self, context: Context, plane: DataPlane, name: str) -> None:
        self._context = context
        self._name = name
        self._plane = plane
        self._pods = context.informers.of(PODS, label_selector=reading.REVISION_LABEL)
        self.controller = Controller("gateway-drains", self._reconcile, clock=context.clock)
        self.controller.watch(self._pods)

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(key.name, key.namespace)
        if pod is None or is_deleting(pod):
            return None
        if not reading.is_draining(pod):
            return None
        said = reading.drained_by(pod)
        if self._name in said:
            return None
        revision = Key(key.namespace, labels_of(pod)[reading.REVISION_LABEL])
        try:
            if not await self._is_idle(revision, key.name):
                return _LOOK_AGAIN
        except AdminError as error:
            logger.debug("drain of %s: %s", key, error)
            return _LOOK_AGAIN
        return await self._say(pod, said | {self._name})

    async def _say(self, pod: Object, names: frozenset[str]) -> float | None:
        metadata: Object = {"annotations": {reading.DRAINED: ",".join(sorted(names))}}
        if len(names) > 1:
            # Nobody's word may be lost to somebody who speaks at the same time.
            metadata["resourceVersion"] = resource_version_of(pod)
        try:
            await self._context.client.patch(
                PODS, name_of(pod), {"metadata": metadata}, namespace=namespace_of(pod)
            )
        except Conflict:
            return _LOOK_AGAIN
        return None

    async def _is_idle(self, revision: Key, pod: str) -> bool:
        slot = self._plane.slots.of(revision)
        server = self._plane.servers.get(slot, {}).get(pod) if slot else None
        if not self._plane.is_settled:
            return False
        if server is not None and not server.is_maintenance:
            return False
        if await self._plane.pod_in_flight(revision, pod):
            return False
        # A thread of HAProxy may just have chosen the server as it went out of rotation.
        await self._context.clock.sleep(_SETTLE_SECONDS)
        return not await self._plane.pod_in_flight(revision, pod)


def _is_ours(ingress: Object) -> bool:
    owner = controller_of(ingress)
    return owner is not None and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")
