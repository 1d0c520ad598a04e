"""The ConfigMap `config-autoscaler`: the operator's defaults for the scale of every revision.

Keys, defaults, bounds and words are those of Knative Serving's `pkg/autoscaler/config`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tidegate.apis.autoscaling import KPA_CLASS
from tidegate.apis.durations import format_duration
from tidegate.apis.parsing import (
    read_boolean,
    read_duration,
    read_integer,
    read_keys,
    read_number,
)

_MIN_WINDOW = 6.0
_MAX_WINDOW = 3600.0
_MIN_TARGET = 0.01


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
        ValueError: the first value that cannot be used, and why.
    """
    config = replace(AutoscalerConfig(), **read_keys(data, _KEYS))
    for problem in _problems(config):
        raise ValueError(problem)
    return config


def _utilization(text: str) -> float:
    """A percentage, or a fraction as older configurations have it (`0.7`)."""
    value = read_number(text)
    return value / 100 if value > 1 else value


def _fraction(text: str) -> float:
    return read_number(text) / 100


def _problems(config: AutoscalerConfig) -> Iterator[str]:
    yield from _window_problems(config)
    yield from _target_problems(config)
    yield from _scale_problems(config)


def _window_problems(config: AutoscalerConfig) -> Iterator[str]:
    for key, value in (
        ("scale-to-zero-grace-period", config.scale_to_zero_grace),
        ("scale-to-zero-pod-retention-period", config.scale_to_zero_retention),
        ("scale-down-delay", config.scale_down_delay),
    ):
        if value < 0:
            yield f"{key} cannot be negative, was: {value:g}s"
    delay, window = config.scale_down_delay, config.stable_window
    if delay != int(delay):
        yield f"scale-down-delay = {delay:g}s, must be specified with at most second precision"
    if not _MIN_WINDOW <= window <= _MAX_WINDOW:
        bounds = f"[{format_duration(_MIN_WINDOW)}; {format_duration(_MAX_WINDOW)}]"
        yield f"stable-window = {_shown(window)}, must be in {bounds} range"
    if window != int(window):
        yield f"stable-window = {window:g}s, must be specified with at most second precision"
    for key, fraction, low, high in (
        # A panic window below a second is one of a second.
        ("panic-window-percentage", config.panic_window_fraction, 1, 100),
        ("panic-threshold-percentage", config.panic_threshold, 110, 1000),
    ):
        percentage = round(fraction * 100, 6)
        if not low <= percentage <= high:
            yield f"{key} = {percentage:g}, must be in [{low}, {high}] interval"


def _target_problems(config: AutoscalerConfig) -> Iterator[str]:
    utilization = config.target_utilization
    if not 0 < utilization <= 1:
        yield (
            f"container-concurrency-target-percentage = {utilization:f} "
            "is outside of valid range of (0, 100]"
        )
    target = utilization * config.concurrency_target
    if target < _MIN_TARGET:
        yield (
            "container-concurrency-target-percentage and container-concurrency-target-default "
            f"yield target concurrency of {target:g}, can't be less than {_MIN_TARGET:g}"
        )
    if config.rps_target < _MIN_TARGET:
        yield (
            f"requests-per-second-target-default must be at least {_MIN_TARGET:g}, "
            f"got {config.rps_target:g}"
        )
    burst = config.target_burst_capacity
    if burst < 0 and burst != -1:
        yield (
            "target-burst-capacity must be either non-negative or -1 (for unlimited), "
            f"got {burst:f}"
        )
    if config.activator_capacity < 1:
        yield f"activator-capacity = {config.activator_capacity:g}, must be at least 1"
    for key, rate in (
        ("max-scale-up-rate", config.max_scale_up_rate),
        ("max-scale-down-rate", config.max_scale_down_rate),
    ):
        if rate <= 1:
            yield f"{key} = {rate:g}, must be greater than 1.0"


def _scale_problems(config: AutoscalerConfig) -> Iterator[str]:
    for key, value in (
        ("min-scale", config.min_scale),
        ("max-scale", config.max_scale),
        ("max-scale-limit", config.max_scale_limit),
    ):
        if value < 0:
            yield f"{key} = {value}, must be at least 0"
    lowest = 0 if config.allow_zero_initial_scale else 1
    if config.initial_scale < lowest:
        yield (
            f"initial-scale = {config.initial_scale}, must be at least 0 "
            "(or at least 1 when allow-zero-initial-scale is false)"
        )
    limit = config.max_scale_limit
    if limit and config.max_scale > limit:
        yield f"max-scale = {config.max_scale}, must be in [0, max-scale-limit({limit})] range"
    if config.max_scale and config.min_scale > config.max_scale:
        yield f"min-scale = {config.min_scale}, must not be above max-scale({config.max_scale})"


def _shown(seconds: float) -> str:
    return format_duration(seconds) if seconds == int(seconds) else f"{seconds:g}s"


_KEYS = {
    "container-concurrency-target-percentage": ("target_utilization", _utilization),
    "container-concurrency-target-default": ("concurrency_target", read_number),
    "requests-per-second-target-default": ("rps_target", read_number),
    "target-burst-capacity": ("target_burst_capacity", read_number),
    "stable-window": ("stable_window", read_duration),
    "panic-window-percentage": ("panic_window_fraction", _fraction),
    "panic-threshold-percentage": ("panic_threshold", _fraction),
    "max-scale-up-rate": ("max_scale_up_rate", read_number),
    "max-scale-down-rate": ("max_scale_down_rate", read_number),
    "enable-scale-to-zero": ("enable_scale_to_zero", read_boolean),
    "scale-to-zero-grace-period": ("scale_to_zero_grace", read_duration),
    "scale-to-zero-pod-retention-period": ("scale_to_zero_retention", read_duration),
    "pod-autoscaler-class": ("autoscaler_class", str.strip),
    "activator-capacity": ("activator_capacity", read_number),
    "initial-scale": ("initial_scale", read_integer),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", read_boolean),
    "min-scale": ("min_scale", read_integer),
    "max-scale": ("max_scale", read_integer),
    "max-scale-limit": ("max_scale_limit", read_integer),
    "scale-down-delay": ("scale_down_delay", read_duration),
}
