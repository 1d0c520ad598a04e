"""What the metrics API says of a revision's pods, and how many pods that asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import cast

from tidegate.apis.durations import parse_duration
from tidegate.autoscaling.policies import hpa
from tidegate.autoscaling.settings import ScaleSettings
from tidegate.autoscaling.views import REVISION_LABEL
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.controller import Context
from tidegate.kube.errors import ApiError
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import (
    Object,
    condition_of,
    name_of,
    namespace_of,
    status_of,
    uid_of,
)
from tidegate.kube.quantities import parse_quantity
from tidegate.kube.resources import POD_METRICS

_MIB = 2**20


class ResourceMetrics:
    """Reads metrics and recommends.

    Args:
        context: the autoscaler's own.
    """

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = EventRecorder(
            context.client, "horizontal-pod-autoscaler", clock=context.clock
        )
        self._told: dict[str, str] = {}

    async def recommendation(
        self, autoscaler: Object, settings: ScaleSettings, pods: Sequence[Object], present: int
    ) -> int | None:
        """How many pods the metrics ask for; None, and an event, where they say nothing."""
        try:
            target = target_of(settings)
            metrics = await self._metrics(autoscaler)
            loads = [pod_load(pod, metrics.get(name_of(pod)), target.resource) for pod in pods]
            recommended = hpa.recommend(loads, present, target, self._clock.time())
        except (ApiError, ValueError, hpa.NoMetricsError) as error:
            await self._tell(autoscaler, str(error))
            return None
        self.forget(uid_of(autoscaler))
        return recommended

    def forget(self, uid: str) -> None:
        """Tell of the next failure of this PodAutoscaler again."""
        self._told.pop(uid, None)

    async def _metrics(self, autoscaler: Object) -> dict[str, Object]:
        listed = await self._client.list(
            POD_METRICS,
            namespace=namespace_of(autoscaler),
            label_selector=f"{REVISION_LABEL}={name_of(autoscaler)}",
        )
        return {name_of(item): item for item in listed.items}

    async def _tell(self, autoscaler: Object, message: str) -> None:
        if self._told.get(uid_of(autoscaler)) != message:
            self._told[uid_of(autoscaler)] = message
            await self._events.warning(autoscaler, "FailedGetResourceMetric", message)


def target_of(settings: ScaleSettings) -> hpa.Target:
    """What a revision aims at, as Knative hands it to the HorizontalPodAutoscaler.

    Raises:
        NoMetricsError: it goes by a metric that nobody measures.
    """
    if settings.metric == "cpu":
        return hpa.Target("cpu", Fraction(math.ceil(settings.target_total), 100))
    if settings.metric == "memory":
        return hpa.Target("memory", Fraction(max(1, int(settings.target_total)) * _MIB))
    raise hpa.NoMetricsError(
        f"unable to get metric {settings.metric}: only cpu and memory are measured"
    )


def pod_load(pod: Object, metrics: Object | None, resource: str) -> hpa.PodLoad:
    """One pod as the policy sees it. Raises ValueError when a quantity cannot be read."""
    status = status_of(pod)
    ready = condition_of(pod, "Ready")
    started = status.get("startTime")
    return hpa.PodLoad(
        name=name_of(pod),
        pending=status.get("phase", "Pending") == "Pending",
        ready=None if ready is None else ready.get("status") == "True",
        ready_since=_time(ready or {}, "lastTransitionTime"),
        started=parse_rfc3339(str(started)) if started else None,
        request=_request(pod, resource),
        measured=_measured(metrics, resource) if metrics is not None else None,
    )


def _request(pod: Object, resource: str) -> Fraction | None:
    total = Fraction(0)
    for container in cast("list[Object]", pod["spec"]["containers"]):
        resources: Object = container.get("resources") or {}
        requests: Object = resources.get("requests") or {}
        if resource not in requests:
            return None
        total += parse_quantity(requests[resource])
    return total


def _measured(metrics: Object, resource: str) -> hpa.Measured:
    containers = cast("list[Object]", metrics["containers"])
    use = sum((parse_quantity(c["usage"][resource]) for c in containers), Fraction(0))
    window = float(parse_duration(str(metrics["window"])))
    return hpa.Measured(use, _time(metrics, "timestamp"), window)


def _time(obj: Mapping[str, str], name: str) -> float:
    text = obj.get(name)
    return parse_rfc3339(text) if text else 0.0
