"""The ConfigMap `config-autoscaler`: the operator's defaults for every revision, read live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.apis.autoscaling import KPA_CLASS
from tidegate.apis.durations import parse_duration
from tidegate.kube.errors import Cause, Invalid

CONFIG_NAMESPACE = "knative-serving"
CONFIG_NAME = "config-autoscaler"


@dataclass(frozen=True)
class AutoscalerConfig:
    """Knative's keys with Knative's defaults; durations in seconds, percentages as fractions.

    A `max_scale` or `max_scale_limit` of 0 means none.
    """

    target_utilization: float = 0.7
    concurrency_target: float = 100.0
    rps_target: float = 200.0
    target_burst_capacity: float = 211.0
    stable_window: float = 60.0
    panic_window_fraction: float = 0.1
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    enable_scale_to_zero: bool = True
    scale_to_zero_grace: float = 30.0
    scale_to_zero_retention: float = 0.0
    autoscaler_class: str = KPA_CLASS
    activator_capacity: float = 100.0
    initial_scale: int = 1
    allow_zero_initial_scale: bool = False
    min_scale: int = 0
    max_scale: int = 0
    max_scale_limit: int = 0
    scale_down_delay: float = 0.0


def parse_config(data: Mapping[str, str]) -> AutoscalerConfig:
    """The configuration that a ConfigMap's `data` describes.

    Keys that are not known are left alone, as in Knative, which keeps `_example` there.

    Raises:
        Invalid: with one cause per value that cannot be used.
    """
    values: dict[str, Any] = {}
    causes: list[Cause] = []
    for key, (field, parse) in _KEYS.items():
        if key not in data:
            continue
        try:
            values[field] = parse(data[key])
        except ValueError as error:
            causes.append(Cause("FieldValueInvalid", str(error), f"data.{key}"))
    config = replace(AutoscalerConfig(), **values)
    causes.extend(_contradictions(config))
    if causes:
        problems = "; ".join(f"{cause.field}: {cause.message}" for cause in causes)
        raise Invalid(
            f"configmap {CONFIG_NAMESPACE}/{CONFIG_NAME}: {problems}",
            resource="configmaps",
            name=CONFIG_NAME,
            causes=causes,
        )
    return config


def number(low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A parser of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is no number") from None
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not between {low:g} and {high:g}")
        return value

    return parse


def integer(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is no whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not between {low} and {high}")
        return value

    return parse


def seconds(low: float, high: float, *, whole: bool = False) -> Callable[[str], float]:
    """A parser of durations from `low` to `high` seconds."""

    def parse(text: str) -> float:
        value = float(parse_duration(text.strip()))
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not between {low:g}s and {high:g}s")
        if whole and value != int(value):
            raise ValueError(f"{text!r} has a fraction of a second")
        return value

    return parse


def percentage(low: float, high: float) -> Callable[[str], float]:
    """A parser of percentages into fractions."""
    parse_number = number(low, high)

    def parse(text: str) -> float:
        return parse_number(text) / 100

    return parse


def burst_capacity(text: str) -> float:
    """A target burst capacity: -1 for unlimited, or 0 and above."""
    value = number(-1)(text)
    if -1 < value < 0:
        raise ValueError(f"{text!r} is neither -1 nor 0 or above")
    return value


def _utilization(text: str) -> float:
    """A percentage, or a fraction as older configurations have it (`0.7`)."""
    value = number(0, 100)(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not above 0")
    return value / 100 if value > 1 else value


def _boolean(text: str) -> bool:
    # Go's ConfigMap parser takes everything but true in any case as false.
    return text.strip().lower() == "true"


def _contradictions(config: AutoscalerConfig) -> list[Cause]:
    found: list[Cause] = []

    def complain(key: str, message: str) -> None:
        found.append(Cause("FieldValueInvalid", message, f"data.{key}"))

    if config.max_scale and config.min_scale > config.max_scale:
        complain("min-scale", f"{config.min_scale} is above max-scale {config.max_scale}")
    if config.max_scale_limit and config.max_scale > config.max_scale_limit:
        complain("max-scale", f"{config.max_scale} is above max-scale-limit")
    if config.initial_scale == 0 and not config.allow_zero_initial_scale:
        complain("initial-scale", "0 needs allow-zero-initial-scale")
    return found


_HOUR = 3600.0

_KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "container-concurrency-target-percentage": ("target_utilization", _utilization),
    "container-concurrency-target-default": ("concurrency_target", number(0.01)),
    "requests-per-second-target-default": ("rps_target", number(0.01)),
    "target-burst-capacity": ("target_burst_capacity", burst_capacity),
    "stable-window": ("stable_window", seconds(6, _HOUR, whole=True)),
    "panic-window-percentage": ("panic_window_fraction", percentage(1, 100)),
    "panic-threshold-percentage": ("panic_threshold", percentage(110, 1000)),
    "max-scale-up-rate": ("max_scale_up_rate", number(1.0000001)),
    "max-scale-down-rate": ("max_scale_down_rate", number(1.0000001)),
    "enable-scale-to-zero": ("enable_scale_to_zero", _boolean),
    "scale-to-zero-grace-period": ("scale_to_zero_grace", seconds(0, _HOUR)),
    "scale-to-zero-pod-retention-period": ("scale_to_zero_retention", seconds(0, _HOUR)),
    "pod-autoscaler-class": ("autoscaler_class", str),
    "activator-capacity": ("activator_capacity", number(1)),
    "initial-scale": ("initial_scale", integer(0)),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", _boolean),
    "min-scale": ("min_scale", integer(0)),
    "max-scale": ("max_scale", integer(0)),
    "max-scale-limit": ("max_scale_limit", integer(0)),
    "scale-down-delay": ("scale_down_delay", seconds(0, _HOUR, whole=True)),
}
