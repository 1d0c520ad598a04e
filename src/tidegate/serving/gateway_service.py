"""The Service by which clients of the API find the gateway, as they do with Knative's ingresses."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apis.settings import NAMESPACE
from tidegate.kube.controller import Context, Controller
from tidegate.kube.objects import Key, Object, is_deleting, key_of
from tidegate.kube.resources import SERVICES
from tidegate.serving.children import covers, write_status
from tidegate.serving.config import ServingSettings

_KEY = Key(NAMESPACE, "gateway")
# Who listens everywhere is reached from this machine at its own address.
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognized, not bound


def make_gateway_service(settings: ServingSettings) -> Object:
    """It has no selector: what listens at its address is the gateway itself."""
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {
            "name": _KEY.name,
            "namespace": _KEY.namespace,
            "labels": {"app.kubernetes.io/component": "gateway"},
        },
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": settings.ingress_class,
            "allocateLoadBalancerNodePorts": False,
            "ports": [
                {
                    "name": "http2",
                    "port": settings.gateway_port,
                    "protocol": "TCP",
                    "targetPort": settings.gateway_port,
                }
            ],
        },
    }


class GatewayService:
    """Keeps the Service there and its status true."""

    def __init__(self, context: Context, settings: ServingSettings) -> None:
        self._client = context.client
        self._clock = context.clock
        self._settings = settings
        self._services = context.informers.of(SERVICES)

    def controller(self) -> Controller:
        """Runs this reconciler on every change of the Service."""
        controller = Controller("gateway-service", self.reconcile, clock=self._clock, workers=1)
        controller.watch(self._services, _only_ours)
        controller.queue.add(_KEY)
        return controller

    async def reconcile(self, key: Key) -> None:
        wanted = make_gateway_service(self._settings)
        live = self._services.get(key.name, key.namespace)
        if live is None:
            live = await self._client.create(SERVICES, wanted)
        if is_deleting(live):
            return
        if not covers(live["spec"], wanted["spec"]):
            spec = {**live["spec"], **wanted["spec"]}
            live = await self._client.update(SERVICES, {**live, "spec": spec})
        port = {"port": self._settings.gateway_port, "protocol": "TCP"}
        address = self._settings.gateway_address
        ingress = [{"ip": _ANY_ADDRESS.get(address, address), "ports": [port]}]
        await write_status(self._client, SERVICES, live, {"loadBalancer": {"ingress": ingress}})


def _only_ours(service: Object) -> Iterable[Key]:
    return (_KEY,) if key_of(service) == _KEY else ()
