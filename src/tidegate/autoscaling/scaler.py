"""The controller: demand and settings in, the scale of Deployments out, nothing in flight cut.

A rise of demand is answered within the reconcile that its report triggers. A fall drains pods
first (see `policies.selection`). The policies' state is in memory only: after a restart each
revision keeps the pods it has for a window, which is what a policy without a past decides. Which
pods are on their way out stands on the pods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.apis.demand import Demand, DemandSource
from tidegate.autoscaling.live_config import LiveConfig
from tidegate.autoscaling.overlay import Overlay
from tidegate.autoscaling.policies.decision import Decision
from tidegate.autoscaling.policies.policy import HpaPolicy, Policy, Situation, policy_for
from tidegate.autoscaling.policies.selection import Plan, plan
from tidegate.autoscaling.reporter import Reporter
from tidegate.autoscaling.resource_metrics import ResourceMetrics
from tidegate.autoscaling.settings import Problem, ScaleSettings, parse_settings
from tidegate.autoscaling.status import INITIALIZED, Scale, is_initialized
from tidegate.autoscaling.views import (
    CONDEMN,
    MARK,
    REVISION_LABEL,
    UNMARK,
    gives_up_at,
    is_replica,
    is_settled,
    pod_view,
    replicas_of,
    revision_index,
    revision_key,
    target_name,
)
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Handler
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_condition_true,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    uid_of,
)
from tidegate.kube.resources import DEPLOYMENTS, PODS
from tidegate.kube.waiting import all_of

logger = logging.getLogger(__name__)

_WORKERS = 8


@dataclass
class _Tracked:
    """One revision's policy and what was last made of it."""

    uid: str
    autoscaler_class: str
    policy: Policy
    initialized: bool
    scale: Scale | None = None
    left_zero: float = 0.0


@dataclass(frozen=True)
class _Parsed:
    """Settings and all that they were made from."""

    annotations: Mapping[str, str]
    spec: Object
    config: AutoscalerConfig
    settings: ScaleSettings
    problems: tuple[Problem, ...]


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
        self._metrics = ResourceMetrics(context)
        self._tracked: dict[Key, _Tracked] = {}
        self._parsed: dict[Key, _Parsed] = {}
        informers = context.informers
        self._autoscalers = informers.of(POD_AUTOSCALERS)
        self._pods = informers.of(PODS, label_selector=REVISION_LABEL)
        self._pods.add_index(REVISION_LABEL, revision_index)
        self._deployments = informers.of(DEPLOYMENTS, label_selector=REVISION_LABEL)
        self._known_pods = Overlay(self._pods)
        self._known_deployments = Overlay(self._deployments)
        self._pods.add_handler(_forgetting(self._known_pods))
        self._deployments.add_handler(_forgetting(self._known_deployments))
        self._controller = (
            Controller("autoscaler", self._reconcile, clock=self._clock, workers=_WORKERS)
            .watch(self._autoscalers)
            .watch(self._deployments, revision_key)
            .watch(self._pods, revision_key)
        )
        self._reporter = Reporter(context, self._outcome)
        self._config.on_change(self._all_again)

    async def run(self) -> None:
        """Scale until cancelled."""
        await self._config.informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_demand())
            group.create_task(self._controller.run())
            group.create_task(self._reporter.controller.run())

    async def _follow_demand(self) -> None:
        async with self._demand.subscribe() as demands:
            async for demand in demands:
                self._observe(demand)
                self._controller.queue.add(demand.revision)

    def _observe(self, demand: Demand) -> None:
        tracked = self._tracked.get(demand.revision)
        autoscaler = self._autoscalers.get(demand.revision.name, demand.revision.namespace)
        if tracked is not None and autoscaler is not None:
            settings = self._settings_of(autoscaler).settings
            tracked.policy.observe(demand, settings, self._clock.monotonic())

    def _all_again(self) -> None:
        for autoscaler in self._autoscalers.items():
            self._controller.queue.add(key_of(autoscaler))

    def _outcome(self, key: Key) -> tuple[Scale, tuple[Problem, ...]] | None:
        tracked, parsed = self._tracked.get(key), self._parsed.get(key)
        if tracked is None or tracked.scale is None or parsed is None:
            return None
        return tracked.scale, parsed.problems

    def _settings_of(self, autoscaler: Object) -> _Parsed:
        key, config = key_of(autoscaler), self._config.current
        annotations, spec = annotations_of(autoscaler), autoscaler["spec"]
        known = self._parsed.get(key)
        if (
            known is None
            or known.config is not config
            or known.annotations != annotations
            or known.spec != spec
        ):
            settings, problems = parse_settings(autoscaler, config)
            known = self._parsed[key] = _Parsed(annotations, spec, config, settings, problems)
        return known

    async def _reconcile(self, key: Key) -> float | None:
        autoscaler = self._autoscalers.get(key.name, key.namespace)
        if autoscaler is None or is_deleting(autoscaler):
            gone = self._tracked.pop(key, None)
            if gone is not None:
                self._metrics.forget(gone.uid)
            self._parsed.pop(key, None)
            return None
        deployment = self._known_deployments.get(target_name(autoscaler), key.namespace)
        if deployment is None:
            return None
        settings = self._settings_of(autoscaler).settings
        pods = [self._known_pods.view(pod) for pod in self._pods_of(key)]
        views = [pod_view(pod) for pod in pods]
        ready = sum(view.ready for view in views)
        # A drain under way was decided on a full window: a restart must not undo it.
        staying = max(0, replicas_of(deployment) - sum(view.draining for view in views))
        initialized = is_condition_true(autoscaler, INITIALIZED) or is_initialized(ready, settings)
        situation = Situation(settings, initialized, staying, ready)
        tracked = self._track(autoscaler, situation)
        if tracked is None:
            return None
        tracked.initialized = tracked.initialized or initialized
        situation = replace(situation, initialized=tracked.initialized)
        return await self._scale(tracked, autoscaler, deployment, pods, situation)

    def _track(self, autoscaler: Object, situation: Situation) -> _Tracked | None:
        """The revision's policy; a new one for a new object or another class."""
        key, uid = key_of(autoscaler), uid_of(autoscaler)
        wanted = situation.settings.autoscaler_class
        known = self._tracked.get(key)
        if known is not None and (known.uid, known.autoscaler_class) == (uid, wanted):
            return known
        now = self._clock.monotonic()
        policy = policy_for(situation, now)
        if policy is None:
            self._tracked.pop(key, None)
            return None
        snapshot = self._demand.snapshot(key)
        if snapshot is not None:
            policy.observe(snapshot, situation.settings, now)
        tracked = self._tracked[key] = _Tracked(uid, wanted, policy, situation.initialized)
        return tracked

    async def _scale(
        self,
        tracked: _Tracked,
        autoscaler: Object,
        deployment: Object,
        pods: list[Object],
        situation: Situation,
    ) -> float | None:
        key, now = key_of(autoscaler), self._clock.monotonic()
        snapshot = self._demand.snapshot(key)
        policy = tracked.policy
        by_resource = isinstance(policy, HpaPolicy)
        if by_resource and policy.is_due(now):
            staying = [pod for pod in pods if not pod_view(pod).draining]
            recommended = await self._metrics.recommendation(
                autoscaler, situation.settings, staying, situation.present
            )
            policy.recommended(recommended, situation, now)
        decision = policy.decide(situation, now)
        left = gives_up_at(autoscaler, deployment) - self._clock.time()
        gave_up = not situation.initialized and left <= 0
        if gave_up and not by_resource and (snapshot is None or snapshot.total == 0):
            decision = Decision(0, active=False)
        in_flight = {load.name: load.in_flight for load in snapshot.pods} if snapshot else {}
        sessions = _fresh_sessions(snapshot, now)
        gateways = self._demand.gateways
        views = [
            pod_view(pod, gateways=gateways, sessions_until=sessions.get(name_of(pod), 0.0))
            for pod in pods
        ]
        step = plan(
            decision.desired,
            replicas_of(deployment),
            views,
            in_flight,
            is_settled=is_settled(deployment),
        )
        await self._apply(step, deployment, {name_of(pod): pod for pod in pods})
        # The Deployment may still be shown as it was: what was decided last is known for certain.
        was_zero = tracked.scale is None or tracked.scale.desired == 0
        if step.replicas and was_zero and not replicas_of(deployment):
            tracked.left_zero = self._clock.time()
        tracked.scale = Scale(
            desired=decision.desired,
            ready=situation.ready,
            initialized=situation.initialized,
            active=decision.active,
            timed_out=gave_up,
            left_zero=tracked.left_zero,
        )
        self._reporter.controller.queue.add(key)
        waits = [] if decision.look_again is None else [decision.look_again - now]
        if not situation.initialized and left > 0:
            waits.append(left)
        # A timer that fires a hair early must not make the loop spin.
        return max(min(waits), 0.001) if waits else None

    async def _apply(self, step: Plan, deployment: Object, pods: Mapping[str, Object]) -> None:
        """Write the plan: a growth with the marks, a shrinking when the marks are in place."""
        writes = [self._annotate(pods[name], UNMARK) for name in step.undrain]
        writes += [self._annotate(pods[name], MARK) for name in step.drain]
        writes += [self._annotate(pods[name], CONDEMN) for name in step.condemn]
        grows = step.replicas is not None and step.replicas > replicas_of(deployment)
        if step.replicas is not None and grows:
            writes.append(self._set_replicas(deployment, step.replicas))
        await all_of(*writes)
        if step.replicas is not None and not grows:
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
        logger.info("%s/%s: %d -> %d", namespace, name, replicas_of(deployment), replicas)
        scale = await self._client.patch(
            DEPLOYMENTS,
            name,
            {"spec": {"replicas": replicas}},
            namespace=namespace,
            subresource="scale",
        )
        metadata: dict[str, Any] = deployment["metadata"]
        version = scale["metadata"]["resourceVersion"]
        generation = int(metadata.get("generation") or 0) + 1
        self._known_deployments.wrote(
            deployment,
            {
                **deployment,
                "metadata": {**metadata, "resourceVersion": version, "generation": generation},
                "spec": {**deployment["spec"], "replicas": replicas},
            },
        )

    def _pods_of(self, key: Key) -> list[Object]:
        return [pod for pod in self._pods.by_index(REVISION_LABEL, str(key)) if is_replica(pod)]


def _fresh_sessions(snapshot: Demand | None, now: float) -> dict[str, float]:
    """Pods whose sessions may still come back, and until when."""
    loads = snapshot.pods if snapshot is not None else ()
    return {load.name: load.sessions_until for load in loads if load.sessions_until > now}


def _forgetting(overlay: Overlay) -> Handler:
    def handler(old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            overlay.forget(key_of(old))

    return handler
