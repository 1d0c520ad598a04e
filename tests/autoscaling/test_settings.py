"""Annotations and `config-autoscaler`: every key, aliases, ranges, and what is passed over."""

from __future__ import annotations

import pytest

from tests.autoscaling.support import pod_autoscaler, settings
from tidegate.apis.autoscaler_config import AutoscalerConfig, parse_config
from tidegate.apis.autoscaling import KPA_CLASS
from tidegate.autoscaling.settings import parse_settings


def test_an_empty_config_map_has_knatives_defaults():
    config = parse_config({"_example": "stable-window: 5s"})
    assert config == AutoscalerConfig()
    assert config.autoscaler_class == KPA_CLASS


@pytest.mark.parametrize(
    ("key", "text", "field", "value"),
    [
        ("container-concurrency-target-percentage", "80", "target_utilization", 0.8),
        ("container-concurrency-target-percentage", "0.7", "target_utilization", 0.7),
        ("container-concurrency-target-default", "50", "concurrency_target", 50),
        ("requests-per-second-target-default", "10", "rps_target", 10),
        ("target-burst-capacity", "-1", "target_burst_capacity", -1),
        ("stable-window", "1m30s", "stable_window", 90),
        ("panic-window-percentage", "20", "panic_window_fraction", 0.2),
        ("panic-threshold-percentage", "300", "panic_threshold", 3),
        ("max-scale-up-rate", "10", "max_scale_up_rate", 10),
        ("max-scale-down-rate", "4", "max_scale_down_rate", 4),
        ("enable-scale-to-zero", "False", "enable_scale_to_zero", False),
        ("scale-to-zero-grace-period", "10s", "scale_to_zero_grace", 10),
        ("scale-to-zero-pod-retention-period", "1m", "scale_to_zero_retention", 60),
        ("pod-autoscaler-class", "x.example.com", "autoscaler_class", "x.example.com"),
        ("activator-capacity", "200", "activator_capacity", 200),
        ("initial-scale", "3", "initial_scale", 3),
        ("allow-zero-initial-scale", "true", "allow_zero_initial_scale", True),
        ("min-scale", "1", "min_scale", 1),
        ("max-scale", "7", "max_scale", 7),
        ("max-scale-limit", "9", "max_scale_limit", 9),
        ("scale-down-delay", "15m", "scale_down_delay", 900),
    ],
)
def test_every_key_is_read(key, text, field, value):
    assert getattr(parse_config({key: text}), field) == pytest.approx(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("stable-window", "5s"),
        ("stable-window", "2h"),
        ("stable-window", "6500ms"),
        ("stable-window", "soon"),
        ("container-concurrency-target-percentage", "0"),
        ("container-concurrency-target-percentage", "101"),
        ("panic-threshold-percentage", "109"),
        ("max-scale-up-rate", "1"),
        ("target-burst-capacity", "-0.5"),
        ("initial-scale", "0"),
        ("min-scale", "-1"),
        ("max-scale", "1.5"),
    ],
)
def test_a_bad_value_is_named(key, text):
    with pytest.raises(ValueError, match=key):
        parse_config({key: text})


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("max-scale", "10", "max_scale", 10),
        ("maxScale", "10", "max_scale", 10),
        ("minScale", "2", "min_scale", 2),
        ("initialScale", "3", "initial_scale", 3),
        ("activation-scale", "5", "activation_scale", 5),
        ("targetUtilizationPercentage", "100", "utilization", 1.0),
        ("target-utilization-percentage", "80", "utilization", 0.8),
        ("window", "30s", "window", 30),
        ("panicWindowPercentage", "50", "panic_window", 30),
        ("panic-threshold-percentage", "150", "panic_threshold", 1.5),
        ("scaleDownDelay", "5m", "scale_down_delay", 300),
        ("scaleToZeroPodRetentionPeriod", "42s", "zero_delay", 42),
        ("targetBurstCapacity", "0", "target_burst_capacity", 0),
        (
            "metricAggregationAlgorithm",
            "weighted-exponential",
            "aggregation",
            "weighted-exponential",
        ),
    ],
)
def test_annotations_are_read_by_both_spellings(name, text, field, value):
    parsed, problems = parse_settings(pod_autoscaler(**{name: text}), AutoscalerConfig())
    assert problems == ()
    assert getattr(parsed, field) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("window", "5s"),
        ("max-scale", "many"),
        ("target-utilization-percentage", "0"),
        ("metric", "cpu"),
        ("activation-scale", "1"),
        ("target", "0"),
    ],
)
def test_an_annotation_that_cannot_be_used_leaves_the_default(name, text):
    parsed, problems = parse_settings(pod_autoscaler(**{name: text}), AutoscalerConfig())
    assert [problem.annotation for problem in problems] == [f"autoscaling.knative.dev/{name}"]
    assert parsed == settings()


@pytest.mark.parametrize(
    ("concurrency", "annotations", "total"),
    [
        (0, {}, 100),
        (5, {}, 5),
        (5, {"target": "3"}, 3),
        (5, {"target": "50"}, 5),
        (0, {"target": "50"}, 50),
        (5, {"metric": "rps"}, 200),
        (5, {"metric": "rps", "target": "50"}, 50),
    ],
)
def test_target_total(concurrency, annotations, total):
    assert settings(concurrency=concurrency, **annotations).target_total == total


def test_an_unreachable_revision_has_no_minimum():
    assert settings(min_scale="3").min_scale == 3
    assert settings(min_scale="3", reachability="Unreachable").min_scale == 0


def test_without_scale_to_zero_one_pod_stays():
    config = AutoscalerConfig(enable_scale_to_zero=False)
    assert settings(config=config).min_scale == 1
    assert settings(config=config, reachability="Unreachable").min_scale == 1


def test_the_operators_limit_caps_every_maximum():
    config = AutoscalerConfig(max_scale_limit=4)
    assert settings(config=config).max_scale == 4
    parsed, problems = parse_settings(pod_autoscaler(max_scale="9"), config)
    assert parsed.max_scale == 4
    assert len(problems) == 1
