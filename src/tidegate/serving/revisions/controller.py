"""Revision -> Deployment, PodAutoscaler and Services, and their state back up."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apis import autoscaling, serving
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.objects import (
    Key,
    Object,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
)
from tidegate.kube.resources import DEPLOYMENTS, PODS, SERVICES
from tidegate.serving.children import (
    FAILED_CREATE,
    REFUSALS,
    RETRY_SECONDS,
    Children,
    NotOwnedError,
    write_status,
)
from tidegate.serving.conditions import Verdict, conditions, false, unknown, verdict_of
from tidegate.serving.config import ConfigStore
from tidegate.serving.revisions.children import make_pod_autoscaler, make_services
from tidegate.serving.revisions.deployment import deployment_name, make_deployment
from tidegate.serving.revisions.status import (
    ACTIVE,
    CONTAINER_HEALTHY,
    RESOURCES_AVAILABLE,
    Observed,
    container_digests,
    replica_counts,
    verdicts,
)

_DEPENDANTS = (RESOURCES_AVAILABLE, CONTAINER_HEALTHY)


def revision_index(pod: Object) -> list[str]:
    """Indexes pods by their Revision."""
    return [str(key) for key in revision_keys(pod)]


def revision_keys(obj: Object) -> Iterable[Key]:
    """Maps what carries a Revision's label to that Revision."""
    name = labels_of(obj).get(serving.REVISION_LABEL)
    return (Key(namespace_of(obj), name),) if name else ()


class RevisionReconciler:
    """Brings one Revision in line."""

    def __init__(self, context: Context, config: ConfigStore) -> None:
        self._client = context.client
        self._clock = context.clock
        self._config = config
        informers = context.informers
        self._revisions = informers.of(serving.REVISIONS)
        self._deployments = informers.of(DEPLOYMENTS)
        self._pod_autoscalers = informers.of(autoscaling.POD_AUTOSCALERS)
        self._services = informers.of(SERVICES)
        self._pods = informers.of(PODS, label_selector=serving.REVISION_LABEL)
        self._pods.add_index("revision", revision_index)
        self._deployment_children = Children(context.client, self._deployments)
        self._autoscaler_children = Children(context.client, self._pod_autoscalers)
        self._service_children = Children(context.client, self._services)

    def controller(self) -> Controller:
        """Runs this reconciler on every change that concerns a Revision."""
        controller = Controller("revision", self.reconcile, clock=self._clock)
        controller.watch(self._revisions)
        for informer in (self._deployments, self._pod_autoscalers, self._services):
            controller.watch(informer, owner_key(serving.REVISIONS))
        controller.watch(self._pods, revision_keys)
        self._config.requeue(controller, self._revisions)
        return controller

    async def reconcile(self, key: Key) -> float | None:
        revision = self._revisions.get(key.name, key.namespace)
        if revision is None or is_deleting(revision):
            return None
        pods = tuple(
            pod
            for pod in self._pods.by_index("revision", str(key_of(revision)))
            if not is_deleting(pod)
        )
        status: Object = dict(revision.get("status") or {})
        found = await self._observe(revision, pods, status)
        status["containerStatuses"] = container_digests(revision, pods, "containers")
        init_digests = container_digests(revision, pods, "initContainers")
        if init_digests:
            status["initContainerStatuses"] = init_digests
        now = rfc3339(self._clock.time())
        status["conditions"] = conditions(revision, found, dependants=_DEPENDANTS, now=now)
        status["observedGeneration"] = revision["metadata"].get("generation", 0)
        await write_status(self._client, serving.REVISIONS, revision, status)
        refused = found[RESOURCES_AVAILABLE].reason == FAILED_CREATE
        return RETRY_SECONDS if refused else None

    async def _observe(
        self, revision: Object, pods: tuple[Object, ...], status: Object
    ) -> dict[str, Verdict]:
        settings = self._config.current
        try:
            deployment = await self._deployment_children.ensure_covers(
                revision, self._desired_deployment(revision), keep=("replicas", "selector")
            )
            pod_autoscaler = await self._autoscaler_children.ensure_covers(
                revision, make_pod_autoscaler(revision, settings)
            )
            for service in make_services(revision):
                await self._service_children.ensure_covers(revision, service)
        except NotOwnedError as error:
            return _without_children("NotOwned", str(error))
        except REFUSALS as error:
            return _without_children(FAILED_CREATE, str(error))
        for name in ("actualReplicas", "desiredReplicas"):
            status.pop(name, None)
        status.update(replica_counts(pod_autoscaler))
        return verdicts(
            Observed(
                deployment,
                pod_autoscaler,
                pods,
                ignore_unschedulable=settings.deployment.pod_is_always_schedulable,
                previous={kind: verdict_of(revision, kind) for kind in _DEPENDANTS},
            )
        )

    def _desired_deployment(self, revision: Object) -> Object:
        desired = make_deployment(revision, self._config.current)
        name = deployment_name(name_of(revision))
        live = self._deployments.get(name, namespace_of(revision))
        if live is not None:
            # An annotation put on a living Revision must not restart its pods.
            desired["spec"]["template"]["metadata"] = live["spec"]["template"]["metadata"]
        return desired


def _without_children(reason: str, message: str) -> dict[str, Verdict]:
    return {
        RESOURCES_AVAILABLE: false(reason, message),
        CONTAINER_HEALTHY: unknown("Deploying"),
        ACTIVE: unknown("Deploying"),
    }
