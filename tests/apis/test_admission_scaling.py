"""The annotations of a template that are about scaling: which are taken, and which refused."""

from __future__ import annotations

import pytest

from tests.apis.services import (
    annotate,
    changed,
    refusal,
)
from tidegate.apis.admission import (
    admit_service,
)
from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.settings import ADMISSION, Settings


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"min_scale": "x"}, "invalid value: x: {}min-scale"),
        ({"min_scale": "-1"}, "expected 0 <= -1 <= 2147483647: {}min-scale"),
        (
            {"min_scale": "5", "max_scale": "2"},
            "max-scale=2 is less than min-scale=5: {}max-scale, {}min-scale",
        ),
        ({"class": "foo.autoscaling.knative.dev"}, "invalid value: foo.{}class"),
        ({"target": "0.001"}, "target 0.001 should be at least 0.01: {}target"),
        (
            {"target_utilization_percentage": "0"},
            "expected 1 <= 0 <= 100: {}target-utilization-percentage",
        ),
        ({"window": "5s"}, "expected 6s <= 5s <= 1h0m0s: {}window"),
        ({"window": "60.5s"}, "must be specified with at most second precision: {}window"),
        ({"metric": "cpu"}, "invalid value: cpu: {}metric"),
        ({"initial_scale": "0"}, "invalid value: 0: {}initial-scale=0 not allowed by cluster"),
        (
            {"activation_scale": "1"},
            "activation-scale=1 must be greater than 1: {}activation-scale",
        ),
        ({"target_burst_capacity": "-2"}, "invalid value: -2: {}target-burst-capacity"),
    ],
)
def test_scaling_annotations_are_checked(annotations: dict[str, str], message: str) -> None:
    text = refusal(changed(lambda o: annotate(o, **annotations)))
    prefix = "spec.template.metadata.annotations.autoscaling.knative.dev/"
    if "class" in annotations:
        assert text == f"invalid value: {annotations['class']}: {prefix}class"
    else:
        assert text == message.replace("{}", prefix)


def test_the_metrics_of_a_class_are_its_own() -> None:
    prefix = "spec.template.metadata.annotations.autoscaling.knative.dev/"
    for scaler, metric in (("kpa", "memory"), ("hpa", "")):
        annotations = {"class": f"{scaler}.autoscaling.knative.dev", "metric": metric}
        text = refusal(changed(lambda o, given=annotations: annotate(o, **given)))
        assert text == f"invalid value: {metric}: {prefix}metric"


@pytest.mark.parametrize(
    "annotations",
    [
        {"class": "mpa.autoscaling.knative.dev", "metric": "anything"},
        {"class": "hpa.autoscaling.knative.dev", "metric": "cpu", "target": "70"},
        {"class": "hpa.autoscaling.knative.dev", "metric": "memory", "target": "256"},
        {"class": "scaler.example.com"},
        {"window": "1h", "scale_down_delay": "15m", "target": "0.5"},
        {"max_scale": "0", "min_scale": "3", "target_burst_capacity": "-1"},
        {"activation_scale": "3", "max_scale": "5"},
    ],
)
def test_good_scaling_annotations_pass(annotations: dict[str, str]) -> None:
    admit_service(changed(lambda o: annotate(o, **annotations)), None, "me")


def test_the_cluster_limits_the_scale() -> None:
    ADMISSION.current = Settings(autoscaler=AutoscalerConfig(max_scale_limit=10))
    assert "expected 1 <= 11 <= 10" in refusal(changed(lambda o: annotate(o, max_scale="11")))
    assert "max-scale=0 (unlimited)" in refusal(changed(lambda o: annotate(o, max_scale="0")))
