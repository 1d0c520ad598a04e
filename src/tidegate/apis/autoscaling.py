"""The resources of `autoscaling.internal.knative.dev`, and the keys of scaling annotations."""

from __future__ import annotations

from tidegate.kube.resources import Resource

GROUP = "autoscaling.internal.knative.dev"
ANNOTATION_GROUP = "autoscaling.knative.dev"

POD_AUTOSCALERS = Resource(
    GROUP,
    "v1alpha1",
    "PodAutoscaler",
    "podautoscalers",
    True,
    ("kpa", "pa"),
    ("knative-internal", "autoscaling"),
)

KPA_CLASS = "kpa.autoscaling.knative.dev"
HPA_CLASS = "hpa.autoscaling.knative.dev"
MPA_CLASS = "mpa.autoscaling.knative.dev"
