"""The group metrics.k8s.io: what nodes and pods use, read from whoever measures it.

`kubectl top`, and autoscalers that go by CPU and memory, read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.apiserver.registry.schemas.builtin import reference, schema_name
from tidegate.apiserver.registry.spec import KindSpec, Reader
from tidegate.apiserver.view import StoreView
from tidegate.kube.clock import rfc3339
from tidegate.kube.errors import ServiceUnavailable
from tidegate.kube.objects import Key, Object, labels_of, uid_of
from tidegate.kube.resources import NODE_METRICS, NODES, POD_METRICS, PODS, Resource
from tidegate.kube.usage import ResourceUsage, UsageSource

_VERBS = ("get", "list")


class Metrics:
    """Makes the objects of both kinds.

    Args:
        view: the objects whose labels the metrics carry.

    Attributes:
        source: who measures; None until a node is attached.
    """

    def __init__(self, view: StoreView) -> None:
        self._view = view
        self.source: UsageSource | None = None

    def specs(self) -> list[KindSpec]:
        """The kinds, for the registry."""
        return [_spec(NODE_METRICS, self._nodes), _spec(POD_METRICS, self._pods)]

    async def _nodes(self, _namespace: str | None) -> list[Object]:
        metrics: list[Object] = []
        for sample in await self._attached().nodes():
            node = self._view.find(NODES, Key("", sample.name))
            if node is not None:
                base = _metrics(NODE_METRICS, node, sample.at, sample.window)
                metrics.append({**base, "usage": _quantities(sample.usage)})
        return metrics

    async def _pods(self, namespace: str | None) -> list[Object]:
        metrics: list[Object] = []
        for sample in await self._attached().pods(namespace):
            pod = self._view.find(PODS, Key(sample.namespace, sample.name))
            if pod is not None and uid_of(pod) == sample.uid:
                base = _metrics(POD_METRICS, pod, sample.at, sample.window)
                metrics.append({**base, "containers": _containers(sample.containers)})
        return metrics

    def _attached(self) -> UsageSource:
        if self.source is None:
            raise ServiceUnavailable("no node is attached to this API server", retry_after=1)
        return self.source


def _spec(resource: Resource, reader: Reader) -> KindSpec:
    name = schema_name("metrics", resource.kind)
    return KindSpec(
        resource=resource,
        schema=lambda: reference(name),
        schema_name=name,
        reader=reader,
        verbs=_VERBS,
    )


def _metrics(resource: Resource, measured: Object, at: float, window: float) -> Object:
    metadata: Object = {"name": measured["metadata"]["name"], "creationTimestamp": rfc3339(at)}
    if resource.namespaced:
        metadata["namespace"] = measured["metadata"]["namespace"]
    if labels_of(measured):
        metadata["labels"] = dict(labels_of(measured))
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "timestamp": rfc3339(at),
        "window": f"{window:.3f}s",
    }


def _containers(usages: Mapping[str, ResourceUsage]) -> list[Object]:
    return [{"name": name, "usage": _quantities(usage)} for name, usage in usages.items()]


def _quantities(usage: ResourceUsage) -> Object:
    return {
        "cpu": f"{round(usage.cpu * 1e9)}n",
        "memory": f"{usage.memory // 1024}Ki",
    }
