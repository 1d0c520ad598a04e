"""What a revision asks of its autoscaler: its annotations over the operator's defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.autoscaling import ANNOTATION_GROUP, HPA_CLASS
from tidegate.autoscaling.ranges import burst_capacity, integer, number, percentage, seconds
from tidegate.kube.objects import Object, annotations_of

CLASS = f"{ANNOTATION_GROUP}/class"
_HOUR = 3600.0
_DEFAULT_CPU_PERCENT = 80.0


@dataclass(frozen=True)
class ScaleSettings:
    """The settings in force for one revision.

    Attributes:
        autoscaler_class: who scales it.
        metric: `concurrency` or `rps`; for the class hpa `cpu` or `memory`.
        container_concurrency: requests a pod bears at once; 0 for no limit.
        target_total: load that a pod is meant for at full use: requests at once, or per second;
            for the class hpa percent of the requested CPU, or MiB of memory.
        utilization: the part of `target_total` to aim at, 0 to 1.
        min_scale: fewest pods; 0 lets it go to zero. 0 for an unreachable revision.
        max_scale: most pods; 0 for no bound.
        initial_scale: pods that must become ready before the revision counts as working.
        activation_scale: fewest pods while there is any demand.
        window: seconds of the stable window; 0 for the class hpa unless it was asked for.
        panic_window: seconds of the panic window.
        panic_threshold: demand over capacity of the ready pods at which panic begins.
        scale_down_delay: seconds that a lower number must hold beyond the window.
        zero_delay: seconds from an idle window to the end of the last pod.
        target_burst_capacity: requests at once to be ready for; -1 for any.
        aggregation: `linear` or `weighted-exponential`.
        max_scale_up_rate, max_scale_down_rate: KPA's bounds on one step, as ratios.
        reachable: whether any route leads to the revision.
    """

    autoscaler_class: str
    metric: str
    container_concurrency: int
    target_total: float
    utilization: float
    min_scale: int
    max_scale: int
    initial_scale: int
    activation_scale: int
    window: float
    panic_window: float
    panic_threshold: float
    scale_down_delay: float
    zero_delay: float
    target_burst_capacity: float
    aggregation: str
    max_scale_up_rate: float
    max_scale_down_rate: float
    reachable: bool

    @property
    def target(self) -> float:
        """Load per pod to aim at; Knative's floor of 0.01."""
        return max(0.01, self.target_total * self.utilization)


@dataclass(frozen=True)
class Problem:
    """An annotation that could not be used; its default is in force instead."""

    annotation: str
    message: str

    def __str__(self) -> str:
        return f"{self.annotation}: {self.message}"


def parse_settings(
    pod_autoscaler: Object, config: AutoscalerConfig
) -> tuple[ScaleSettings, tuple[Problem, ...]]:
    """The settings of a PodAutoscaler, and what of its annotations had to be passed over.

    The API refuses bad annotations at the door; one that comes in some other way must not stop
    the revision from being scaled.
    """
    reader = _Reader(annotations_of(pod_autoscaler))
    spec = cast("Object", pod_autoscaler.get("spec") or {})
    concurrency = int(spec.get("containerConcurrency") or 0)
    reachable = spec.get("reachability") != "Unreachable"
    autoscaler_class = class_of(pod_autoscaler, config)
    by_resource = autoscaler_class == HPA_CLASS
    default_window = 0.0 if by_resource else config.stable_window
    window = reader.read("window", seconds(6, _HOUR, whole=True), default_window)
    if by_resource:
        metric, target_total = _resource_target(reader)
    else:
        metric = reader.read("metric", _one_of("concurrency", "rps"), "concurrency")
        target_total = _target_total(reader, metric, concurrency, config)
    panic_fraction = reader.read(
        "panic-window-percentage", percentage(1, 100), config.panic_window_fraction
    )
    retention = reader.read(
        "scale-to-zero-pod-retention-period",
        seconds(0, _HOUR),
        config.scale_to_zero_retention,
    )
    minimum, maximum = _bounds(reader, config)
    settings = ScaleSettings(
        autoscaler_class=autoscaler_class,
        metric=metric,
        container_concurrency=concurrency,
        target_total=target_total,
        utilization=reader.read(
            "target-utilization-percentage", percentage(1, 100), config.target_utilization
        ),
        min_scale=_floor(minimum if reachable else 0, config),
        max_scale=maximum,
        initial_scale=reader.read(
            "initial-scale",
            integer(0 if config.allow_zero_initial_scale else 1),
            config.initial_scale,
        ),
        activation_scale=reader.read("activation-scale", integer(2), 1),
        window=window,
        panic_window=max(1.0, float(round(window * panic_fraction))),
        panic_threshold=reader.read(
            "panic-threshold-percentage", percentage(110, 1000), config.panic_threshold
        ),
        scale_down_delay=reader.read(
            "scale-down-delay", seconds(0, _HOUR, whole=True), config.scale_down_delay
        ),
        zero_delay=max(config.scale_to_zero_grace, retention),
        target_burst_capacity=reader.read(
            "target-burst-capacity", burst_capacity, config.target_burst_capacity
        ),
        aggregation=reader.read(
            "metric-aggregation-algorithm", _one_of("linear", "weighted-exponential"), "linear"
        ),
        max_scale_up_rate=config.max_scale_up_rate,
        max_scale_down_rate=config.max_scale_down_rate,
        reachable=reachable,
    )
    return settings, tuple(reader.problems)


def class_of(pod_autoscaler: Object, config: AutoscalerConfig) -> str:
    """The autoscaler class: the annotation, or the operator's default."""
    return annotations_of(pod_autoscaler).get(CLASS) or config.autoscaler_class


class _Reader:
    """Reads annotations by their kebab-case name or its camelCase alias."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations
        self.problems: list[Problem] = []

    def read(self, name: str, parse: Callable[[str], Any], default: Any) -> Any:
        for spelling in (name, _camel_case(name)):
            key = f"{ANNOTATION_GROUP}/{spelling}"
            if key in self._annotations:
                try:
                    return parse(self._annotations[key])
                except ValueError as error:
                    self.problems.append(Problem(key, str(error)))
                    return default
        return default

    def complain(self, name: str, message: str) -> None:
        self.problems.append(Problem(f"{ANNOTATION_GROUP}/{name}", message))


def _target_total(
    reader: _Reader, metric: str, concurrency: int, config: AutoscalerConfig
) -> float:
    if metric == "rps":
        return reader.read("target", number(0.01), config.rps_target)
    default = concurrency or config.concurrency_target
    target: float = reader.read("target", number(0.01), default)
    return min(target, concurrency) if concurrency else target


def _resource_target(reader: _Reader) -> tuple[str, float]:
    """Metric and target of the class hpa; without a target, what Kubernetes defaults to."""
    metric: str = reader.read("metric", str, "cpu")
    target: float = reader.read("target", number(0.01), 0.0)
    return (metric, target) if target else ("cpu", _DEFAULT_CPU_PERCENT)


def _bounds(reader: _Reader, config: AutoscalerConfig) -> tuple[int, int]:
    minimum: int = reader.read("min-scale", integer(0), config.min_scale)
    maximum: int = reader.read("max-scale", integer(0), config.max_scale)
    limit = config.max_scale_limit
    if limit and not 0 < maximum <= limit:
        if maximum:
            reader.complain("max-scale", f"{maximum} is above the operator's limit of {limit}")
        maximum = limit
    if maximum and minimum > maximum:
        reader.complain("min-scale", f"{minimum} is above max-scale {maximum}")
        minimum = maximum
    return minimum, maximum


def _floor(minimum: int, config: AutoscalerConfig) -> int:
    return minimum if config.enable_scale_to_zero else max(1, minimum)


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return parse


def _camel_case(name: str) -> str:
    return re.sub(r"-([a-z])", lambda match: match[1].upper(), name)
