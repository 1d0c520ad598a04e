"""Route -> traffic, and what the gateways make of it."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apis import networking, serving
from tidegate.apis.defaults import with_defaults
from tidegate.apis.durations import parse_duration
from tidegate.apis.fields import items
from tidegate.apis.settings import Settings
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.events import EventRecorder
from tidegate.kube.informer import Informer
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_controlled_by,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
)
from tidegate.kube.resources import INGRESSES, SERVICES
from tidegate.serving.children import (
    FAILED_CREATE,
    REFUSALS,
    RETRY_SECONDS,
    Children,
    NotOwnedError,
    write_status,
)
from tidegate.serving.conditions import (
    TRUE,
    UNKNOWN,
    Verdict,
    conditions,
    false,
    is_observed,
    is_ready,
    unknown,
    verdict_of,
)
from tidegate.serving.config import ConfigStore, ServingSettings
from tidegate.serving.routes import rollout as rollouts
from tidegate.serving.routes.domains import (
    Tags,
    certificate_verdict,
    host_name,
    is_cluster_local,
    local_url,
    url_of,
)
from tidegate.serving.routes.ingress import make_ingress, make_placeholder, make_public_ingress
from tidegate.serving.routes.rollout import Rollout
from tidegate.serving.routes.traffic import BadTargetError, Target, consolidate, groups, resolve

ALL_TRAFFIC_ASSIGNED = "AllTrafficAssigned"
CERTIFICATE_PROVISIONED = "CertificateProvisioned"
INGRESS_READY = "IngressReady"
_DEPENDANTS = (ALL_TRAFFIC_ASSIGNED, CERTIFICATE_PROVISIONED, INGRESS_READY)

_ROUTES_BY_TARGET = "target"
_SERVICES_BY_ROUTE = "route"


def target_index(route: Object) -> list[str]:
    """Indexes Routes by the Configurations and Revisions they name or serve."""
    namespace = namespace_of(route)
    found: set[str] = set()
    for target in (*items(route, "spec", "traffic"), *items(route, "status", "traffic")):
        for field, kind in (("configurationName", "c"), ("revisionName", "r")):
            if target.get(field):
                found.add(f"{kind}/{namespace}/{target[field]}")
    return sorted(found)


def route_index(service: Object) -> list[str]:
    """Indexes placeholder Services by their Route."""
    name = labels_of(service).get(serving.ROUTE_LABEL)
    return [f"{namespace_of(service)}/{name}"] if name else []


def ingress_verdict(ingress: Object) -> Verdict:
    """What an Ingress means for the condition IngressReady of its owner."""
    verdict = verdict_of(ingress, "Ready")
    if not is_observed(ingress) or verdict == UNKNOWN:
        return unknown("IngressNotConfigured", "Ingress has not yet been reconciled.")
    return verdict


class RouteReconciler:
    """Brings one Route in line."""

    def __init__(
        self,
        context: Context,
        config: ConfigStore,
        settings: ServingSettings,
        recorder: EventRecorder,
    ) -> None:
        self._client = context.client
        self._clock = context.clock
        self._config = config
        self._settings = settings
        informers = context.informers
        self._routes: Informer = informers.of(serving.ROUTES)
        self._routes.add_index(_ROUTES_BY_TARGET, target_index)
        self._configurations = informers.of(serving.CONFIGURATIONS)
        self._revisions = informers.of(serving.REVISIONS)
        self._ingresses = informers.of(networking.INGRESSES)
        self._public_ingresses = informers.of(INGRESSES)
        self._services = informers.of(SERVICES)
        self._services.add_index(_SERVICES_BY_ROUTE, route_index)
        self._ingress_children = Children(context.client, self._ingresses, recorder=recorder)
        self._public_children = Children(context.client, self._public_ingresses)
        self._service_children = Children(context.client, self._services)

    def controller(self) -> Controller:
        """Runs this reconciler on every change that concerns a Route."""
        controller = Controller("route", self.reconcile, clock=self._clock)
        controller.watch(self._routes)
        controller.watch(self._configurations, self._by_target("c"))
        controller.watch(self._revisions, self._by_target("r"))
        for informer in (self._ingresses, self._public_ingresses, self._services):
            controller.watch(informer, owner_key(serving.ROUTES))
        # A Service of someone else's may stand in the way under the Route's name.
        controller.watch(self._services)
        self._config.requeue(controller, self._routes)
        return controller

    def _by_target(self, kind: str) -> _TargetMapper:
        return _TargetMapper(self._routes, kind)

    async def reconcile(self, key: Key) -> float | None:
        route = self._routes.get(key.name, key.namespace)
        if route is None or is_deleting(route):
            return None
        status: Object = dict(route.get("status") or {})
        verdicts = {kind: verdict_of(route, kind) for kind in _DEPENDANTS}
        settings = self._config.current
        verdicts[CERTIFICATE_PROVISIONED] = _certificate(route, settings, self._settings)
        private = self._private_tags(route)
        status["url"] = url_of(route, "", settings, self._settings, private=private)
        status["address"] = {"url": local_url(route, "", settings)}
        again = await self._observe(with_defaults(route, settings), private, status, verdicts)
        now = rfc3339(self._clock.time())
        status["conditions"] = conditions(route, verdicts, dependants=_DEPENDANTS, now=now)
        status["observedGeneration"] = route["metadata"].get("generation", 0)
        await write_status(self._client, serving.ROUTES, route, status)
        return again

    async def _observe(
        self, route: Object, private: Tags, status: Object, verdicts: dict[str, Verdict]
    ) -> float | None:
        """Assign the traffic; returns seconds until the next step of a rollout, or try.

        Args:
            private: tags that only the cluster may reach.
        """
        namespace = namespace_of(route)
        try:
            targets = resolve(
                items(route, "spec", "traffic"),
                configuration=lambda name: self._configurations.get(name, namespace),
                revision=lambda name: self._revisions.get(name, namespace),
                service=labels_of(route).get(serving.SERVICE_LABEL, ""),
            )
        except BadTargetError as error:
            # What was served before goes on being served.
            verdicts[ALL_TRAFFIC_ASSIGNED] = error.verdict
            return None
        verdicts[ALL_TRAFFIC_ASSIGNED] = TRUE
        try:
            return await self._serve(route, targets, private, status, verdicts)
        except NotOwnedError as error:
            kind = "placeholder Service" if error.kind == "Service" else error.kind
            message = f'There is an existing {kind} "{error.name}" that we do not own.'
            verdicts[INGRESS_READY] = false("NotOwned", message)
            return None
        except REFUSALS as error:
            verdicts[INGRESS_READY] = false(FAILED_CREATE, str(error))
            return RETRY_SECONDS

    async def _serve(
        self,
        route: Object,
        targets: tuple[Target, ...],
        private: Tags,
        status: Object,
        verdicts: dict[str, Verdict],
    ) -> float | None:
        members = groups(targets)
        rollout = self._rollout(route, members)
        await self._ensure_placeholders(route, list(members))
        shown = {
            tag: consolidate(rollouts.spread(tag, group, rollout)) for tag, group in members.items()
        }
        wanted = make_ingress(
            route,
            shown,
            rollouts.dump(rollout),
            self._config.current,
            self._settings,
            private=private,
        )
        ingress = await self._ingress_children.ensure_exact(route, wanted)
        await self._ensure_public_ingress(route, list(members), private)
        spread = rollouts.spread("", targets, rollout)
        status["traffic"] = self._status_traffic(route, spread, private)
        verdicts[INGRESS_READY] = ingress_verdict(ingress)
        if rollouts.in_progress(rollout) and verdicts[INGRESS_READY].status == "True":
            verdicts[INGRESS_READY] = unknown(
                "RolloutInProgress", "A gradual rollout of the latest revision(s) is in progress."
            )
        due = rollouts.next_due(rollout)
        return None if due is None else max(due - self._clock.time(), 0.01)

    def _rollout(self, route: Object, members: dict[str, tuple[Target, ...]]) -> Rollout:
        live = self._ingresses.get(name_of(route), namespace_of(route))
        text = annotations_of(live).get(networking.ROLLOUT_ANNOTATION, "") if live else ""
        previous = rollouts.load(text)
        now = self._clock.time()
        duration = self._rollout_seconds(route)
        rollout = rollouts.step(rollouts.goal_of(members), previous, now=now, duration=duration)
        if rollout == previous and live is not None and is_ready(live):
            rollout = rollouts.confirmed(rollout, now=now, duration=duration)
        return rollout

    def _rollout_seconds(self, route: Object) -> float:
        annotations = annotations_of(route)
        found = [annotations.get(key) for key in serving.ROLLOUT_DURATION_ANNOTATIONS]
        text = next((text for text in found if text), "")
        if text:
            try:
                return float(parse_duration(text))
            except ValueError:
                return 0.0
        return float(self._config.current.network.rollout_duration)

    def _private_tags(self, route: Object) -> Tags:
        """Tags whose placeholder Service has been labelled as the cluster's own."""
        return frozenset(
            labels_of(service).get(networking.TAG_LABEL, "")
            for service in self._placeholders(route)
            if is_cluster_local(service)
        )

    def _placeholders(self, route: Object) -> list[Object]:
        return self._services.by_index(_SERVICES_BY_ROUTE, str(key_of(route)))

    async def _ensure_placeholders(self, route: Object, tags: list[str]) -> None:
        settings = self._config.current
        wanted = {host_name(name_of(route), tag, settings) for tag in tags}
        for tag in tags:
            placeholder = make_placeholder(route, tag, settings, self._settings)
            await self._service_children.ensure_covers(route, placeholder)
        for service in self._placeholders(route):
            if name_of(service) not in wanted and is_controlled_by(service, route):
                await self._service_children.remove(route, name_of(service))

    async def _ensure_public_ingress(self, route: Object, tags: list[str], private: Tags) -> None:
        wanted = make_public_ingress(
            route, tags, self._config.current, self._settings, private=private
        )
        if wanted is None:
            await self._public_children.remove(route, name_of(route))
        else:
            await self._public_children.ensure_covers(route, wanted)

    def _status_traffic(
        self, route: Object, targets: Iterable[Target], private: Tags
    ) -> list[Object]:
        entries: list[Object] = []
        for target in targets:
            entry: Object = {
                "revisionName": target.revision,
                "percent": target.percent,
                "latestRevision": target.latest,
            }
            if target.tag:
                entry["tag"] = target.tag
                entry["url"] = url_of(
                    route, target.tag, self._config.current, self._settings, private=private
                )
            entries.append(entry)
        return entries


class _TargetMapper:
    """Maps a Configuration or Revision to the Routes that name or serve it."""

    def __init__(self, routes: Informer, kind: str) -> None:
        self._routes = routes
        self._kind = kind

    def __call__(self, obj: Object) -> Iterable[Key]:
        value = f"{self._kind}/{namespace_of(obj)}/{name_of(obj)}"
        return [key_of(route) for route in self._routes.by_index(_ROUTES_BY_TARGET, value)]


def _certificate(route: Object, settings: Settings, serving_settings: ServingSettings) -> Verdict:
    if is_cluster_local(route):
        return Verdict("True", "TLSNotEnabled", "TLS is not enabled for cluster-local")
    return certificate_verdict(route, settings, serving_settings)
