"""Marks Revisions and Configurations with the Routes that send them traffic."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apis import serving
from tidegate.apis.fields import items, part
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
)
from tidegate.serving.configuration import (
    configuration_generation,
    configuration_index,
    generation_of,
)
from tidegate.serving.routes.controller import target_index

_INDEX = "target"
_BY_CONFIGURATION = "configuration"


def routing_state(revision: Object, routes: list[str], *, is_newest: bool) -> str:
    """active with traffic or a tag, pending while it may still get some, else reserve."""
    if routes:
        return "active"
    state = labels_of(revision).get(serving.ROUTING_STATE_LABEL, "pending")
    return "pending" if state == "pending" and is_newest else "reserve"


class Labeler:
    """Keeps `routingState` and `routes` of every Revision, and `routes` of Configurations, true."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._revisions = context.informers.of(serving.REVISIONS)
        self._configurations = context.informers.of(serving.CONFIGURATIONS)
        self._routes = context.informers.of(serving.ROUTES)
        self._routes.add_index(_INDEX, target_index)
        self._revisions.add_index(_BY_CONFIGURATION, configuration_index)

    def controllers(self) -> tuple[Controller, Controller]:
        """Run the labeler on every change that may move traffic."""
        return self._of_revisions(), self._of_configurations()

    def _of_configurations(self) -> Controller:
        controller = Controller(
            "labeler-configurations", self.reconcile_configuration, clock=self._clock
        )
        controller.watch(self._configurations)
        controller.watch(self._routes, self._configurations_of_route)
        return controller

    def _of_revisions(self) -> Controller:
        controller = Controller("labeler", self.reconcile, clock=self._clock)
        controller.watch(self._revisions)
        controller.watch(self._routes, self._revisions_of_route)
        controller.watch(self._configurations, _revisions_of_configuration)
        return controller

    async def reconcile(self, key: Key) -> None:
        revision = self._revisions.get(key.name, key.namespace)
        if revision is None or is_deleting(revision):
            return
        configuration = self._configuration_of(revision)
        routes = self._routes_to(revision, configuration)
        generation = generation_of(configuration) if configuration else 0
        is_newest = configuration_generation(revision) >= generation
        state = routing_state(revision, routes, is_newest=is_newest)
        listed = ",".join(routes)
        labels, annotations = labels_of(revision), annotations_of(revision)
        same_state = labels.get(serving.ROUTING_STATE_LABEL) == state
        if same_state and annotations.get(serving.ROUTES_ANNOTATION, "") == listed:
            return
        changed: dict[str, str | None] = {serving.ROUTES_ANNOTATION: listed or None}
        if not same_state:
            now = rfc3339(self._clock.time())
            changed[serving.ROUTING_STATE_MODIFIED_ANNOTATION] = now
        patch: Object = {
            "metadata": {
                "labels": {serving.ROUTING_STATE_LABEL: state},
                "annotations": changed,
            }
        }
        await self._client.patch(serving.REVISIONS, key.name, patch, namespace=key.namespace)

    async def reconcile_configuration(self, key: Key) -> None:
        configuration = self._configurations.get(key.name, key.namespace)
        if configuration is None or is_deleting(configuration):
            return
        revisions = self._revisions.by_index(_BY_CONFIGURATION, str(key))
        values = [f"r/{key.namespace}/{name_of(revision)}" for revision in revisions]
        listed = ",".join(self._targeting([f"c/{key.namespace}/{key.name}", *values]))
        if annotations_of(configuration).get(serving.ROUTES_ANNOTATION, "") == listed:
            return
        patch: Object = {"metadata": {"annotations": {serving.ROUTES_ANNOTATION: listed or None}}}
        await self._client.patch(serving.CONFIGURATIONS, key.name, patch, namespace=key.namespace)

    def _configuration_of(self, revision: Object) -> Object:
        name = labels_of(revision).get(serving.CONFIGURATION_LABEL, "")
        return self._configurations.get(name, namespace_of(revision)) or {}

    def _routes_to(self, revision: Object, configuration: Object) -> list[str]:
        namespace = namespace_of(revision)
        values = [f"r/{namespace}/{name_of(revision)}"]
        latest = part(configuration, "status").get("latestReadyRevisionName")
        if latest == name_of(revision):
            values.append(f"c/{namespace}/{name_of(configuration)}")
        return self._targeting(values)

    def _targeting(self, values: Iterable[str]) -> list[str]:
        """Names of the Routes that are indexed under one of these."""
        found = {
            name_of(route)
            for value in values
            for route in self._routes.by_index(_INDEX, value)
            if not is_deleting(route)
        }
        return sorted(found)

    def _configurations_of_route(self, route: Object) -> Iterable[Key]:
        namespace = namespace_of(route)
        for target in (*items(route, "spec", "traffic"), *items(route, "status", "traffic")):
            revision = self._revisions.get(target.get("revisionName") or "", namespace)
            owner = labels_of(revision).get(serving.CONFIGURATION_LABEL) if revision else None
            for name in {target.get("configurationName"), owner} - {None, ""}:
                yield Key(namespace, str(name))

    def _revisions_of_route(self, route: Object) -> Iterable[Key]:
        namespace = namespace_of(route)
        for target in (*items(route, "spec", "traffic"), *items(route, "status", "traffic")):
            if target.get("revisionName"):
                yield Key(namespace, target["revisionName"])
            configuration = self._configurations.get(
                target.get("configurationName") or "", namespace
            )
            if configuration is not None:
                yield from _revisions_of_configuration(configuration)


def _revisions_of_configuration(configuration: Object) -> Iterable[Key]:
    status = part(configuration, "status")
    for field in ("latestReadyRevisionName", "latestCreatedRevisionName"):
        if status.get(field):
            yield Key(namespace_of(configuration), status[field])
