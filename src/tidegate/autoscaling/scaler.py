"""The controller: demand and settings in, the scale of Deployments out, nothing in flight cut.

A rise of demand is answered within the reconcile that its report triggers. A fall drains pods
first (see `policies.selection`). The policies' state is in memory only: after a restart each
revision keeps the pods it has for a window, which is what a policy without a past decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.apis.demand import Demand, DemandSource
from tidegate.autoscaling.live_config import LiveConfig
from tidegate.autoscaling.overlay import Overlay
from tidegate.autoscaling.policies.policy import Policy, Situation, policy_for
from tidegate.autoscaling.policies.selection import Plan, PodView, plan
from tidegate.autoscaling.settings import class_of, parse_settings
from tidegate.autoscaling.status import INITIALIZED, Scale, is_initialized, status_for
from tidegate.kube.clock import parse_rfc3339, rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_condition_true,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    status_of,
)
from tidegate.kube.resources import DEPLOYMENTS, PODS

logger = logging.getLogger(__name__)

REVISION_LABEL = "serving.knative.dev/revision"
DRAIN = "tidegate.dev/drain"
DRAINED = "tidegate.dev/drained"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_MARK = {DRAIN: "true", DELETION_COST: "-100"}
_UNMARK = {DRAIN: None, DRAINED: None, DELETION_COST: None}
_WORKERS = 8


class Scaler:
    """Scales every revision whose class is ours.

    Args:
        context: bound to the autoscaler's identity.
        demand: what the gateway sees.
    """

    def __init__(self, context: Context, demand: DemandSource) -> None:
        self._client = context.client
        self._clock = context.clock
        self._demand = demand
        self._config = LiveConfig(context)
        self._policies: dict[Key, tuple[str, Policy]] = {}
        informers = context.informers
        self._autoscalers = informers.of(POD_AUTOSCALERS)
        self._pods = informers.of(PODS, label_selector=REVISION_LABEL)
        self._pods.add_index(REVISION_LABEL, _revision_index)
        self._deployments = informers.of(DEPLOYMENTS, label_selector=REVISION_LABEL)
        self._known_pods = Overlay(self._pods)
        self._known_deployments = Overlay(self._deployments)
        self._pods.add_handler(self._forget_pod)
        self._controller = (
            Controller("autoscaler", self._reconcile, clock=self._clock, workers=_WORKERS)
            .watch(self._autoscalers)
            .watch(self._deployments, _revision_key)
            .watch(self._pods, _revision_key)
        )
        self._config.on_change(self._all_again)

    async def run(self) -> None:
        """Scale until cancelled."""
        await self._config.informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_demand())
            group.create_task(self._controller.run())

    async def _follow_demand(self) -> None:
        async with self._demand.subscribe() as demands:
            async for demand in demands:
                self._observe(demand)
                self._controller.queue.add(demand.revision)

    def _observe(self, demand: Demand) -> None:
        known = self._policies.get(demand.revision)
        autoscaler = self._autoscalers.get(demand.revision.name, demand.revision.namespace)
        if known is not None and autoscaler is not None:
            settings, _ = parse_settings(autoscaler, self._config.current)
            known[1].observe(demand, settings, self._clock.monotonic())

    def _all_again(self) -> None:
        for autoscaler in self._autoscalers.items():
            self._controller.queue.add(key_of(autoscaler))

    def _forget_pod(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._known_pods.forget(key_of(old))

    async def _reconcile(self, key: Key) -> float | None:
        autoscaler = self._autoscalers.get(key.name, key.namespace)
        if autoscaler is None or is_deleting(autoscaler):
            self._policies.pop(key, None)
            return None
        deployment = self._known_deployments.get(_target_of(autoscaler), key.namespace)
        if deployment is None:
            return None
        settings, problems = parse_settings(autoscaler, self._config.current)
        for problem in problems:
            logger.debug("%s: %s", key, problem)
        pods = [self._known_pods.view(pod) for pod in self._pods_of(key)]
        ready = sum(is_condition_true(pod, "Ready") for pod in pods)
        initialized = is_condition_true(autoscaler, INITIALIZED) or is_initialized(ready, settings)
        situation = Situation(settings, initialized, _replicas(deployment), ready)
        return await self._scale(key, autoscaler, deployment, pods, situation)

    async def _scale(
        self,
        key: Key,
        autoscaler: Object,
        deployment: Object,
        pods: list[Object],
        situation: Situation,
    ) -> float | None:
        policy = self._policy_of(key, autoscaler, situation)
        if policy is None:
            return None
        now = self._clock.monotonic()
        decision = policy.decide(situation, now)
        snapshot = self._demand.snapshot(key)
        in_flight = {load.name: load.in_flight for load in snapshot.pods} if snapshot else {}
        step = plan(decision.desired, situation.present, [_view(pod) for pod in pods], in_flight)
        await self._apply(step, deployment, {name_of(pod): pod for pod in pods})
        scale = Scale(decision.desired, situation.ready, situation.initialized, decision.active)
        await self._write_status(autoscaler, scale)
        return None if decision.look_again is None else max(decision.look_again - now, 0.001)

    def _policy_of(self, key: Key, autoscaler: Object, situation: Situation) -> Policy | None:
        wanted = class_of(autoscaler, self._config.current)
        known = self._policies.get(key)
        if known is not None and known[0] == wanted:
            return known[1]
        now = self._clock.monotonic()
        policy = policy_for(situation, now)
        if policy is None:
            self._policies.pop(key, None)
            return None
        snapshot = self._demand.snapshot(key)
        if snapshot is not None:
            policy.observe(snapshot, situation.settings, now)
        self._policies[key] = (wanted, policy)
        return policy

    async def _apply(self, step: Plan, deployment: Object, pods: Mapping[str, Object]) -> None:
        """Write the plan: pods taken back before new ones, marks before the scale."""
        await asyncio.gather(
            *(self._annotate(pods[name], _UNMARK) for name in step.undrain),
            *(self._annotate(pods[name], _MARK) for name in step.drain),
        )
        if step.replicas is not None:
            await self._set_replicas(deployment, step.replicas)

    async def _annotate(self, pod: Object, annotations: Mapping[str, str | None]) -> None:
        patch = {"metadata": {"annotations": dict(annotations)}}
        try:
            after = await self._client.patch(PODS, name_of(pod), patch, namespace=namespace_of(pod))
        except NotFound:
            return
        self._known_pods.wrote(pod, after)

    async def _set_replicas(self, deployment: Object, replicas: int) -> None:
        name, namespace = name_of(deployment), namespace_of(deployment)
        logger.info("%s/%s: %d -> %d", namespace, name, _replicas(deployment), replicas)
        scale = await self._client.patch(
            DEPLOYMENTS,
            name,
            {"spec": {"replicas": replicas}},
            namespace=namespace,
            subresource="scale",
        )
        metadata: dict[str, Any] = deployment["metadata"]
        version = scale["metadata"]["resourceVersion"]
        self._known_deployments.wrote(
            deployment,
            {
                **deployment,
                "metadata": {**metadata, "resourceVersion": version},
                "spec": {**deployment["spec"], "replicas": replicas},
            },
        )

    async def _write_status(self, autoscaler: Object, scale: Scale) -> None:
        status = status_for(autoscaler, scale, now=rfc3339(self._clock.time()))
        if status != status_of(autoscaler):
            await self._client.patch(
                POD_AUTOSCALERS,
                name_of(autoscaler),
                {"status": status},
                namespace=namespace_of(autoscaler),
                subresource="status",
            )

    def _pods_of(self, key: Key) -> list[Object]:
        return [
            pod
            for pod in self._pods.by_index(REVISION_LABEL, str(key))
            if not is_deleting(pod) and status_of(pod).get("phase") not in ("Succeeded", "Failed")
        ]


def _view(pod: Object) -> PodView:
    annotations = annotations_of(pod)
    draining = annotations.get(DRAIN) == "true"
    return PodView(
        name=name_of(pod),
        ready=is_condition_true(pod, "Ready"),
        draining=draining,
        drained=draining and annotations.get(DRAINED) == "true",
        created=parse_rfc3339(pod["metadata"]["creationTimestamp"]),
    )


def _target_of(autoscaler: Object) -> str:
    return str(autoscaler["spec"]["scaleTargetRef"]["name"])


def _replicas(deployment: Object) -> int:
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _revision_key(obj: Object) -> Iterable[Key]:
    revision = labels_of(obj).get(REVISION_LABEL)
    return (Key(namespace_of(obj), revision),) if revision else ()


def _revision_index(obj: Object) -> Iterable[str]:
    return [str(key) for key in _revision_key(obj)]
