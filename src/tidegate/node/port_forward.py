"""Connections to the ports of this node's pods, for `kubectl port-forward`."""

from __future__ import annotations

import asyncio

from tidegate.kube.errors import BadRequest, NotFound
from tidegate.kube.informer import Informer
from tidegate.kube.real_ports import real_ports_of
from tidegate.node.lifecycle.status import POD_IP


class PortSource:
    """Connects to container ports.

    Args:
        pods: the informer of all pods.
    """

    def __init__(self, pods: Informer) -> None:
        self._pods = pods

    async def connect(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a container port of a pod.

        Raises:
            NotFound: there is no such pod.
            BadRequest: the pod has no such port.
            OSError: nobody listens there.
        """
        obj = self._pods.get(pod, namespace)
        if obj is None:
            raise NotFound(f'pods "{pod}" not found', resource="pods", name=pod)
        real = real_ports_of(obj).get(port)
        if real is None:
            raise BadRequest(f"pod {pod} declares no port {port}")
        return await asyncio.open_connection(POD_IP, real)
