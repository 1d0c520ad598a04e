"""What a Revision has besides its Deployment: its PodAutoscaler and its two Services."""

from __future__ import annotations

from tidegate.apis import autoscaling, networking, serving
from tidegate.apis.autoscaling import ANNOTATION_GROUP
from tidegate.apis.settings import Settings
from tidegate.apis.validation.scaling import find
from tidegate.kube.objects import (
    Object,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
)
from tidegate.kube.resources import DEPLOYMENTS, SERVICES
from tidegate.serving.conditions import verdict_of
from tidegate.serving.metadata import revision_annotations, revision_labels
from tidegate.serving.naming import child_name
from tidegate.serving.revisions.deployment import container_port, deployment_name, is_http2


def reachability(revision: Object) -> str:
    """What the autoscaler may take for granted: traffic, no traffic, or neither.

    A Revision that failed and gets no traffic need not keep its pods trying.
    """
    state = labels_of(revision).get(serving.ROUTING_STATE_LABEL, "")
    if state == "active":
        return "Reachable"
    failed = any(
        verdict_of(revision, kind).status == "False"
        for kind in ("ContainerHealthy", "ResourcesAvailable")
    )
    return "Unreachable" if state == "reserve" or failed else ""


def make_pod_autoscaler(revision: Object, settings: Settings) -> Object:
    """The PodAutoscaler; it has the Revision's name and its scaling annotations."""
    annotations = revision_annotations(revision)
    if find(annotations, "class") is None:
        annotations[f"{ANNOTATION_GROUP}/class"] = settings.autoscaler.autoscaler_class
    return {
        "apiVersion": autoscaling.POD_AUTOSCALERS.api_version,
        "kind": autoscaling.POD_AUTOSCALERS.kind,
        "metadata": {
            "name": name_of(revision),
            "namespace": namespace_of(revision),
            "labels": {**revision_labels(revision), "app": name_of(revision)},
            "annotations": annotations,
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": {
            "containerConcurrency": revision["spec"].get("containerConcurrency", 0),
            "protocolType": "h2c" if is_http2(revision) else "http1",
            "reachability": reachability(revision),
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENTS.api_version,
                "kind": DEPLOYMENTS.kind,
                "name": deployment_name(name_of(revision)),
            },
        },
    }


def make_services(revision: Object) -> list[Object]:
    """The public Service, named as the Revision, and the private one the gateways read."""
    return [
        _service(revision, name_of(revision), "Public"),
        _service(revision, child_name(name_of(revision), "-private"), "Private"),
    ]


def _service(revision: Object, name: str, service_type: str) -> Object:
    port: Object = {
        "name": "http2" if is_http2(revision) else "http",
        "port": 80,
        "protocol": "TCP",
        "targetPort": container_port(revision),
    }
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {
            "name": name,
            "namespace": namespace_of(revision),
            "labels": {
                **revision_labels(revision),
                "app": name_of(revision),
                f"{networking.GROUP}/serverlessservice": name_of(revision),
                f"{networking.GROUP}/serviceType": service_type,
            },
            "annotations": revision_annotations(revision),
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": {
            "type": "ClusterIP",
            "ports": [port],
            "selector": {serving.REVISION_LABEL: name_of(revision)},
        },
    }
