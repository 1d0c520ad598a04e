"""Service -> Configuration and Route, and their state back up."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apis import serving
from tidegate.apis.defaults import with_defaults
from tidegate.apis.fields import items, part
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_controlled_by,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from tidegate.serving.children import Children, NotOwnedError, write_status
from tidegate.serving.conditions import (
    Verdict,
    conditions,
    false,
    is_observed,
    unknown,
    verdict_of,
)
from tidegate.serving.config import ConfigStore
from tidegate.serving.metadata import without_bookkeeping

_CONFIGURATIONS_READY = "ConfigurationsReady"
_ROUTES_READY = "RoutesReady"
_DEPENDANTS = (_CONFIGURATIONS_READY, _ROUTES_READY)
_CONFIGURATION_FIELDS = ("latestCreatedRevisionName", "latestReadyRevisionName")
_ROUTE_FIELDS = ("url", "address", "traffic")

_OUT_OF_DATE = "The {} is still working to reflect the latest desired specification."


def make_configuration(service: Object, routes: str = "") -> Object:
    """The Configuration of a Service; it has the Service's name.

    Args:
        routes: what the labeler has written on the one that is there.
    """
    annotations = without_bookkeeping(annotations_of(service))
    for key in serving.ROLLOUT_DURATION_ANNOTATIONS:
        annotations.pop(key, None)
    if routes:
        annotations[serving.ROUTES_ANNOTATION] = routes
    return {
        "apiVersion": serving.CONFIGURATIONS.api_version,
        "kind": serving.CONFIGURATIONS.kind,
        "metadata": _metadata(service, annotations),
        "spec": {"template": service["spec"]["template"]},
    }


def make_route(service: Object) -> Object:
    """The Route of a Service; it has the Service's name."""
    traffic: list[Object] = []
    for target in items(service, "spec", "traffic"):
        if target.get("revisionName"):
            traffic.append(target)
        else:
            traffic.append({**target, "configurationName": name_of(service)})
    return {
        "apiVersion": serving.ROUTES.api_version,
        "kind": serving.ROUTES.kind,
        "metadata": _metadata(service, without_bookkeeping(annotations_of(service))),
        "spec": {"traffic": traffic},
    }


def _metadata(service: Object, annotations: dict[str, str]) -> Object:
    return {
        "name": name_of(service),
        "namespace": namespace_of(service),
        "labels": {
            **labels_of(service),
            serving.SERVICE_LABEL: name_of(service),
            serving.SERVICE_UID_LABEL: uid_of(service),
        },
        "annotations": annotations,
        "ownerReferences": [owner_reference(service)],
    }


class ServiceReconciler:
    """Brings one Service in line."""

    def __init__(self, context: Context, config: ConfigStore, recorder: EventRecorder) -> None:
        self._config = config
        self._client = context.client
        self._clock = context.clock
        self._services = context.informers.of(serving.SERVICES)
        self._configurations = context.informers.of(serving.CONFIGURATIONS)
        self._routes = context.informers.of(serving.ROUTES)
        self._revisions = context.informers.of(serving.REVISIONS)
        self._configuration_children = Children(
            context.client, self._configurations, recorder=recorder
        )
        self._route_children = Children(context.client, self._routes, recorder=recorder)

    def controller(self) -> Controller:
        """Runs this reconciler on every change that concerns a Service."""
        controller = Controller("service", self.reconcile, clock=self._clock)
        controller.watch(self._services)
        # Both bear the Service's name, also those in its way that are not its own.
        controller.watch(self._configurations)
        controller.watch(self._routes)
        return controller

    async def reconcile(self, key: Key) -> None:
        service = self._services.get(key.name, key.namespace)
        if service is None or is_deleting(service):
            return
        fields: Object = dict(service.get("status") or {})
        verdicts = {kind: verdict_of(service, kind) for kind in _DEPENDANTS}
        wanted = with_defaults(service, self._config.current)
        await self._observe(wanted, fields, verdicts)
        now = rfc3339(self._clock.time())
        fields["conditions"] = conditions(service, verdicts, dependants=_DEPENDANTS, now=now)
        fields["observedGeneration"] = service["metadata"].get("generation", 0)
        await write_status(self._client, serving.SERVICES, service, fields)

    async def _observe(self, service: Object, fields: Object, verdicts: dict[str, Verdict]) -> None:
        """Ensure the children and note what they say in `fields` and `verdicts`."""
        live = self._configurations.get(name_of(service), namespace_of(service))
        routes = annotations_of(live).get(serving.ROUTES_ANNOTATION, "") if live else ""
        try:
            configuration = await self._configuration_children.ensure_exact(
                service, make_configuration(service, routes)
            )
        except NotOwnedError as error:
            verdicts[_CONFIGURATIONS_READY] = false("NotOwned", str(error))
            return
        if is_observed(configuration):
            _propagate(configuration, _CONFIGURATION_FIELDS, fields)
            verdicts[_CONFIGURATIONS_READY] = verdict_of(configuration, "Ready")
        else:
            message = _OUT_OF_DATE.format("Configuration")
            verdicts[_CONFIGURATIONS_READY] = unknown("OutOfDate", message)
            # A Route must not reach for a named Revision before it is known to be ours.
            if _revision_name(configuration):
                return
        if self._is_name_taken(configuration):
            name = _revision_name(configuration)
            verdicts[_ROUTES_READY] = false(
                "RevisionNameTaken",
                f'The revision name "{name}" is taken by a conflicting Revision, '
                "so traffic will not be migrated",
            )
            return
        await self._observe_route(service, configuration, fields, verdicts)

    async def _observe_route(
        self, service: Object, configuration: Object, fields: Object, verdicts: dict[str, Verdict]
    ) -> None:
        try:
            route = await self._route_children.ensure_exact(service, make_route(service))
        except NotOwnedError as error:
            verdicts[_ROUTES_READY] = false("NotOwned", str(error))
            return
        if not is_observed(route):
            verdicts[_ROUTES_READY] = unknown("OutOfDate", _OUT_OF_DATE.format("Route"))
            return
        _propagate(route, _ROUTE_FIELDS, fields)
        verdict = verdict_of(route, "Ready")
        if verdict.status == "True" and not is_traffic_migrated(route, configuration):
            verdict = unknown(
                "TrafficNotMigrated", "Traffic is not yet migrated to the latest revision."
            )
        verdicts[_ROUTES_READY] = verdict

    def _is_name_taken(self, configuration: Object) -> bool:
        """Whether the Revision that the template names is another's or of another template."""
        name = _revision_name(configuration)
        revision = self._revisions.get(name, namespace_of(configuration)) if name else None
        if revision is None:
            return False
        return not is_usable(revision, configuration)


def is_usable(revision: Object, configuration: Object) -> bool:
    """Whether a named Revision is the one that the Configuration's template describes."""
    if not is_controlled_by(revision, configuration):
        return False
    generation = str(configuration["metadata"].get("generation", 0))
    if labels_of(revision).get(serving.CONFIGURATION_GENERATION_LABEL) == generation:
        return True
    return bool(revision.get("spec") == part(configuration, "spec", "template", "spec"))


def is_traffic_migrated(route: Object, configuration: Object) -> bool:
    """Whether the Route's traffic flows as its spec and the Configuration's state want it."""
    latest = part(configuration, "status").get("latestReadyRevisionName")
    wanted = [
        {**target, "revisionName": latest, "latestRevision": True}
        if target.get("configurationName") == name_of(configuration)
        else target
        for target in items(route, "spec", "traffic")
    ]
    return _shares(wanted) == _shares(items(route, "status", "traffic"))


def _shares(traffic: Iterable[Object]) -> dict[tuple[object, object, bool], int]:
    """Percents; targets that are the same but for them count as one, as the Route takes them."""
    shares: dict[tuple[object, object, bool], int] = {}
    for target in traffic:
        key = (target.get("revisionName"), target.get("tag"), bool(target.get("latestRevision")))
        shares[key] = shares.get(key, 0) + (target.get("percent") or 0)
    return shares


def _revision_name(configuration: Object) -> str:
    return part(configuration, "spec", "template", "metadata").get("name") or ""


def _propagate(child: Object, names: tuple[str, ...], fields: Object) -> None:
    status = part(child, "status")
    for name in names:
        if status.get(name) is not None:
            fields[name] = status[name]
        else:
            fields.pop(name, None)
