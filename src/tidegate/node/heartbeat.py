"""The Node object and its Lease: that there is a node, what it has, and that it is alive."""

from __future__ import annotations

import logging
import platform

from tidegate.kube.client import Client
from tidegate.kube.clock import Clock, rfc3339, rfc3339_micro
from tidegate.kube.errors import AlreadyExists, ApiError, NotFound
from tidegate.kube.objects import Object, conditions_of, uid_of, with_condition
from tidegate.kube.resources import LEASES, NODES
from tidegate.node.capacity import machine_cpus, machine_memory
from tidegate.node.gpus import GPU_RESOURCE

logger = logging.getLogger(__name__)

_PERIOD_SECONDS = 10.0
_LEASE_SECONDS = 40
_LEASE_NAMESPACE = "kube-node-lease"


class Heartbeat:
    """Keeps the Node and its Lease.

    Args:
        client: bound to the node's identity.
        clock: the time.
        name: the node's name.
        address: where its pods are reached.
        gpus: how many GPUs it has.
        max_pods: how many pods it takes.
        version: Tidegate's, shown as the kubelet's.
    """

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        name: str,
        address: str,
        gpus: int,
        max_pods: int,
        version: str,
    ) -> None:
        self._client = client
        self._clock = clock
        self._name = name
        self._address = address
        self._gpus = gpus
        self._max_pods = max_pods
        self._version = version

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            try:
                node = await self._write_node()
                await self._renew_lease(node)
            except ApiError as error:
                logger.warning("heartbeat of node %s: %s", self._name, error)
            await self._clock.sleep(_PERIOD_SECONDS)

    async def _write_node(self) -> Object:
        try:
            node = await self._client.get(NODES, self._name)
        except NotFound:
            node = await self._client.create(NODES, self._node())
        now = rfc3339(self._clock.time())
        return await self._client.patch(
            NODES, self._name, {"status": self._status(node, now)}, subresource="status"
        )

    def _node(self) -> Object:
        labels = {
            "kubernetes.io/hostname": self._name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _architecture(),
            "node.kubernetes.io/instance-type": "virtual",
            "type": "virtual-kubelet",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self._name, "labels": labels},
            "spec": {},
        }

    def _status(self, node: Object, now: str) -> Object:
        capacity = {
            "cpu": str(machine_cpus()),
            "memory": f"{machine_memory() >> 10}Ki",
            "pods": str(self._max_pods),
        }
        if self._gpus:
            capacity[GPU_RESOURCE] = str(self._gpus)
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [
                {"type": "InternalIP", "address": self._address},
                {"type": "Hostname", "address": self._name},
            ],
            "conditions": _conditions(node, now),
            "nodeInfo": {
                "architecture": _architecture(),
                "operatingSystem": "linux",
                "osImage": platform.platform(terse=True),
                "kernelVersion": platform.release(),
                "kubeletVersion": f"v1.32.0-tidegate-{self._version}",
                "kubeProxyVersion": "",
                "containerRuntimeVersion": f"process://{self._version}",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        }

    async def _renew_lease(self, node: Object) -> None:
        renewed = rfc3339_micro(self._clock.time())
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": renewed,
        }
        try:
            await self._client.patch(LEASES, self._name, {"spec": spec}, namespace=_LEASE_NAMESPACE)
        except NotFound:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": uid_of(node)}
            lease: Object = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {
                    "name": self._name,
                    "namespace": _LEASE_NAMESPACE,
                    "ownerReferences": [owner],
                },
                "spec": spec,
            }
            try:
                await self._client.create(LEASES, lease)
            except AlreadyExists:
                return


def _conditions(node: Object, now: str) -> list[Object]:
    facts = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    )
    conditions = conditions_of(node)
    for kind, status, reason in facts:
        condition = {"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now}
        conditions = with_condition(conditions, condition, now=now)
    return conditions


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
