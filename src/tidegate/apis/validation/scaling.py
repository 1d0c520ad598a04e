"""Checks of the `autoscaling.knative.dev/` annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from tidegate.apis.autoscaling import ANNOTATION_GROUP, HPA_CLASS, KPA_CLASS, MPA_CLASS
from tidegate.apis.durations import format_duration, parse_duration
from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.parsing import MAX_INT32
from tidegate.apis.settings import Settings

Annotations = Mapping[str, str]

# Python's own parsers also take spaces, underscores and words, which no other reader does.
_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_MIN_WINDOW = Fraction(6)
_MAX_WINDOW = Fraction(3600)
# Knative refuses every class of its own domain that it does not ship; MPA comes with Tidegate.
_CLASSES = frozenset({KPA_CLASS, HPA_CLASS, MPA_CLASS})
_ALGORITHMS = frozenset({"", "linear", "weighted-exponential", "weightedExponential"})


def find(annotations: Annotations, name: str) -> tuple[str, str] | None:
    """Key and value of a scaling annotation; `name` is its kebab-case form, camel case works too.

    `target-utilization-percentage` is also found as `targetUtilizationPercentage`.
    """
    head, *rest = name.split("-")
    for spelling in (name, head + "".join(part.capitalize() for part in rest)):
        key = f"{ANNOTATION_GROUP}/{spelling}"
        if key in annotations:
            return key, annotations[key]
    return None


def validate_scaling(annotations: Annotations, settings: Settings, errors: FieldErrors) -> None:
    """All scaling annotations of a template."""
    _validate_class(annotations, errors)
    _validate_bounds(annotations, settings, errors)
    _validate_initial_scale(annotations, settings, errors)
    _validate_range(annotations, "panic-window-percentage", 1, 100, errors)
    _validate_range(annotations, "panic-threshold-percentage", 110, 1000, errors)
    _validate_range(annotations, "target-utilization-percentage", 1, 100, errors)
    _validate_target(annotations, errors)
    _validate_burst(annotations, errors)
    _validate_duration(annotations, "window", _MIN_WINDOW, errors, whole=True)
    _validate_duration(annotations, "scale-down-delay", Fraction(0), errors, whole=True)
    retention = "scale-to-zero-pod-retention-period"
    _validate_duration(annotations, retention, Fraction(0), errors, whole=False)
    _validate_metric(annotations, errors)


def _validate_class(annotations: Annotations, errors: FieldErrors) -> None:
    found = find(annotations, "class")
    if found and found[1].endswith(ANNOTATION_GROUP) and found[1] not in _CLASSES:
        errors.invalid(found[1], found[0])


def _whole_number(
    annotations: Annotations, name: str, errors: FieldErrors
) -> tuple[str, str, int] | None:
    """Key, text and value of an annotation; None when it is absent or no number."""
    found = find(annotations, name)
    if found is None:
        return None
    key, text = found
    if not _INTEGER.match(text):
        errors.invalid(text, key)
        return None
    return key, text, int(text)


def _integer(annotations: Annotations, name: str, errors: FieldErrors) -> int:
    found = _whole_number(annotations, name, errors)
    if found is None:
        return 0
    key, text, value = found
    if not 0 <= value <= MAX_INT32:
        errors.out_of_bounds(text, 0, MAX_INT32, key)
        return 0
    return value


def _validate_bounds(annotations: Annotations, settings: Settings, errors: FieldErrors) -> None:
    low = _integer(annotations, "min-scale", errors)
    high = _integer(annotations, "max-scale", errors)
    if high != 0 and high < low:
        errors.add(
            f"max-scale={high} is less than min-scale={low}",
            f"{ANNOTATION_GROUP}/max-scale",
            f"{ANNOTATION_GROUP}/min-scale",
        )
    limit = settings.autoscaler.max_scale_limit
    found = find(annotations, "max-scale")
    if found and limit:
        if high > limit:
            errors.out_of_bounds(high, 1, limit, found[0])
        if high == 0:
            errors.add(f"max-scale=0 (unlimited), must be less than {limit}", found[0])
    _validate_activation(annotations, low, high, errors)


def _validate_activation(
    annotations: Annotations, low: int, high: int, errors: FieldErrors
) -> None:
    found = _whole_number(annotations, "activation-scale", errors)
    if found is None:
        return
    key, _, value = found
    if low > value:
        errors.add(f"min-scale={low} is greater than activation-scale={value}", key)
    elif high != 0 and high < value:
        errors.add(f"max-scale={high} is less than activation-scale={value}", key)
    elif value < 2:
        errors.add(f"activation-scale={value} must be greater than 1", key)


def _validate_initial_scale(
    annotations: Annotations, settings: Settings, errors: FieldErrors
) -> None:
    found = _whole_number(annotations, "initial-scale", errors)
    if found is None:
        return
    key, text, value = found
    if value < 0:
        errors.invalid(text, f"{key} must be greater than 0")
    elif value == 0 and not settings.autoscaler.allow_zero_initial_scale:
        errors.invalid(text, f"{key}=0 not allowed by cluster")


def _number(
    annotations: Annotations, name: str, errors: FieldErrors, check: Callable[[str, float], None]
) -> None:
    found = find(annotations, name)
    if found is None:
        return
    key, text = found
    if not _NUMBER.match(text):
        errors.invalid(text, key)
        return
    check(key, float(text))


def _validate_range(
    annotations: Annotations, name: str, low: int, high: int, errors: FieldErrors
) -> None:
    def check(key: str, value: float) -> None:
        if not low <= value <= high:
            errors.out_of_bounds(annotations[key], low, high, key)

    _number(annotations, name, errors, check)


def _validate_target(annotations: Annotations, errors: FieldErrors) -> None:
    def check(key: str, value: float) -> None:
        if not value >= 0.01:
            errors.add(f"target {annotations[key]} should be at least 0.01", key)

    _number(annotations, "target", errors, check)


def _validate_burst(annotations: Annotations, errors: FieldErrors) -> None:
    def check(key: str, value: float) -> None:
        if not (value >= 0 or value == -1):
            errors.invalid(annotations[key], key)

    _number(annotations, "target-burst-capacity", errors, check)


def _validate_duration(
    annotations: Annotations, name: str, low: Fraction, errors: FieldErrors, *, whole: bool
) -> None:
    found = find(annotations, name)
    if found is None:
        return
    key, text = found
    try:
        seconds = parse_duration(text)
    except ValueError:
        errors.invalid(text, key)
        return
    if not low <= seconds <= _MAX_WINDOW:
        errors.out_of_bounds(text, format_duration(low), format_duration(_MAX_WINDOW), key)
    elif whole and seconds.denominator != 1:
        errors.add("must be specified with at most second precision", key)


def _validate_metric(annotations: Annotations, errors: FieldErrors) -> None:
    scaler = find(annotations, "class")
    name = scaler[1] if scaler else KPA_CLASS
    metric = find(annotations, "metric")
    if metric is not None:
        wrong = name == KPA_CLASS and metric[1] not in ("concurrency", "rps")
        if wrong or (name == HPA_CLASS and not metric[1]):
            errors.invalid(metric[1], metric[0])
    algorithm = find(annotations, "metric-aggregation-algorithm")
    if algorithm and name == KPA_CLASS and algorithm[1] not in _ALGORITHMS:
        errors.invalid(algorithm[1], algorithm[0])
