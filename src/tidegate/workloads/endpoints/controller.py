"""Keeps EndpointSlices and Endpoints of every Service that has a selector."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.kube.controller import Context, Controller
from tidegate.kube.objects import (
    Key,
    Object,
    controller_of,
    is_controlled_by,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
)
from tidegate.kube.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES, Resource
from tidegate.kube.waiting import all_of
from tidegate.workloads import keeping
from tidegate.workloads.endpoints.slices import (
    MANAGED_BY_LABEL,
    MANAGER,
    SERVICE_NAME_LABEL,
    backing_pods,
    endpoint_slices,
    endpoints,
    selects,
)

_BY_SELECTOR_TERM = "selector-term"
_BY_LABEL = "namespace-label"
_BY_SERVICE = "service"


class EndpointsController:
    """Reconciles Services against the pods they select."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._services = context.informers.of(SERVICES)
        self._pods = context.informers.of(PODS)
        self._slices = context.informers.of(ENDPOINT_SLICES)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._services.add_index(_BY_SELECTOR_TERM, _first_term)
        self._pods.add_index(_BY_LABEL, _labels)
        self._slices.add_index(_BY_SERVICE, _slice_service)
        self.controller = (
            Controller("endpoints", self.reconcile, clock=context.clock)
            .watch(self._services)
            .watch(self._pods, self._services_of_pod)
            .watch(self._slices, _service_of_slice)
            .watch(self._endpoints, _service_of_endpoints)
        )

    def _services_of_pod(self, pod: Object) -> Iterable[Key]:
        labels = labels_of(pod)
        for label in _labels(pod):
            for service in self._services.by_index(_BY_SELECTOR_TERM, label):
                if spec_of(service)["selector"].items() <= labels.items():
                    yield key_of(service)

    async def reconcile(self, key: Key) -> float | None:
        """Write the slices and the Endpoints of one Service, and delete what is stale."""
        service = self._services.get(key.name, key.namespace)
        if service is None or is_deleting(service) or not selects(service):
            return None  # what a Service leaves behind goes with its owner
        candidates = self._pods.by_index(_BY_LABEL, next(iter(_first_term(service))))
        pods = backing_pods(service, candidates)
        wanted = {name_of(item): item for item in endpoint_slices(service, pods)}
        known = {
            name_of(item): item
            for item in self._slices.by_index(_BY_SERVICE, f"{key.namespace}/{key.name}")
            if is_controlled_by(item, service)
        }
        await all_of(
            *(self._put(ENDPOINT_SLICES, item, known.get(name)) for name, item in wanted.items()),
            *(
                keeping.remove(self._client, ENDPOINT_SLICES, item)
                for name, item in known.items()
                if name not in wanted
            ),
            self._put(
                ENDPOINTS, endpoints(service, pods), self._endpoints.get(key.name, key.namespace)
            ),
        )
        return None

    async def _put(self, resource: Resource, wanted: Object, known: Object | None) -> None:
        if known is None:
            await self._client.create(resource, wanted)
            return
        if _matches(wanted, known):
            return
        await keeping.replace(self._client, resource, wanted, known)


def _matches(wanted: Object, known: Object) -> bool:
    meta, known_meta = wanted["metadata"], known["metadata"]
    return (
        all(wanted[field] == known.get(field) for field in wanted if field != "metadata")
        and meta["labels"] == known_meta.get("labels")
        and meta["ownerReferences"] == known_meta.get("ownerReferences")
    )


def _first_term(service: Object) -> Iterable[str]:
    if selects(service):
        label, value = min(spec_of(service)["selector"].items())
        yield f"{namespace_of(service)}/{label}={value}"


def _labels(pod: Object) -> Iterable[str]:
    namespace = namespace_of(pod)
    return [f"{namespace}/{label}={value}" for label, value in labels_of(pod).items()]


def _slice_service(item: Object) -> Iterable[str]:
    name = labels_of(item).get(SERVICE_NAME_LABEL)
    if name and labels_of(item).get(MANAGED_BY_LABEL) == MANAGER:
        yield f"{namespace_of(item)}/{name}"


def _service_of_slice(item: Object) -> Iterable[Key]:
    name = labels_of(item).get(SERVICE_NAME_LABEL)
    if name and controller_of(item) is not None:
        yield Key(namespace_of(item), name)


def _service_of_endpoints(item: Object) -> Iterable[Key]:
    yield key_of(item)
