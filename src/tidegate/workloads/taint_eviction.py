"""Ends the pods that a node's NoExecute taints drive away, at once or when they have borne enough.

The time that a pod bears them counts from when they are first seen here; as in Kubernetes, a new
control plane counts anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tidegate.kube.client import PatchType
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import NotFound
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import Key, Object, key_of, name_of, spec_of, uid_of
from tidegate.kube.resources import NODES, PODS
from tidegate.kube.taints import NO_EXECUTE, taints_of, tolerated_seconds
from tidegate.workloads.pods import is_active


class TaintEvictionController:
    """Reconciles pods against the taints of their nodes."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = EventRecorder(context.client, "taint-eviction-controller", clock=self._clock)
        self._pods = context.informers.of(PODS)
        self._nodes = context.informers.of(NODES)
        self._suffering: dict[Key, tuple[str, float]] = {}
        self.controller = (
            Controller("taint-eviction", self.reconcile, clock=context.clock)
            .watch(self._pods)
            .watch(self._nodes, self._pods_on)
        )

    async def reconcile(self, key: Key) -> float | None:
        """Delete one pod if its time is up; otherwise come back when it is."""
        pod = self._pods.get(key.name, key.namespace)
        bearable = math.inf if pod is None or not is_active(pod) else self._bearable(pod)
        if pod is None or bearable == math.inf:
            self._suffering.pop(key, None)
            return None
        left = self._since(pod) + bearable - self._clock.monotonic()
        if left > 0:
            return left
        await self._evict(pod)
        return None

    def _pods_on(self, node: Object) -> Iterable[Key]:
        if not taints_of(node, NO_EXECUTE):
            return ()
        return [key_of(pod) for pod in self._pods.items() if _node_of(pod) == name_of(node)]

    def _bearable(self, pod: Object) -> float:
        node = self._nodes.get(_node_of(pod))
        return tolerated_seconds(pod, taints_of(node, NO_EXECUTE)) if node else math.inf

    def _since(self, pod: Object) -> float:
        """When this very pod began to bear taints for a limited time."""
        known = self._suffering.get(key_of(pod))
        if known is None or known[0] != uid_of(pod):
            known = uid_of(pod), self._clock.monotonic()
            self._suffering[key_of(pod)] = known
        return known[1]

    async def _evict(self, pod: Object) -> None:
        namespace, name = key_of(pod)
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": rfc3339(self._clock.time()),
        }
        try:
            await self._client.patch(
                PODS,
                name,
                {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [condition]}},
                namespace=namespace,
                patch_type=PatchType.STRATEGIC,
                subresource="status",
            )
            await self._events.normal(
                pod, "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}"
            )
            await self._client.delete(PODS, name, namespace=namespace, uid=uid_of(pod))
        except NotFound:
            return


def _node_of(pod: Object) -> str:
    return str(spec_of(pod).get("nodeName") or "")
