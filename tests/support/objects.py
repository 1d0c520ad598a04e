"""Objects of the API that tests of several rooms make."""

from __future__ import annotations

from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.kube.objects import Object


def pod_autoscaler(revision: str) -> Object:
    """As a revision's controller makes it, without what autoscalers add."""
    return {
        "apiVersion": POD_AUTOSCALERS.api_version,
        "kind": "PodAutoscaler",
        "metadata": {"name": revision, "namespace": "default"},
        "spec": {
            "protocolType": "http1",
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{revision}-deployment",
            },
        },
    }
