"""A Revision as a Deployment: what its pods are to be.

There is no sidecar: the gateway keeps the concurrency and the time limits, and the node's own
probes decide readiness.
"""

from __future__ import annotations

from typing import Any

from tidegate.apis import serving
from tidegate.apis.durations import parse_duration
from tidegate.apis.fields import items
from tidegate.apis.settings import Settings
from tidegate.apis.validation.scaling import find
from tidegate.kube.objects import (
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    thaw,
    uid_of,
)
from tidegate.kube.resources import DEPLOYMENTS
from tidegate.serving.metadata import revision_annotations, revision_labels
from tidegate.serving.naming import child_name

DEFAULT_PORT = 8080

# Fields of a revision's spec that are Knative's own and no part of a pod.
_KNATIVE_FIELDS = (
    "containerConcurrency",
    "timeoutSeconds",
    "responseStartTimeoutSeconds",
    "idleTimeoutSeconds",
)


def deployment_name(revision_name: str) -> str:
    return child_name(revision_name, "-deployment")


def make_deployment(revision: Object, settings: Settings) -> Object:
    """The Deployment; `spec.replicas` is only for its creation."""
    labels = {**revision_labels(revision), "app": name_of(revision)}
    annotations = revision_annotations(revision)
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {
            "name": deployment_name(name_of(revision)),
            "namespace": namespace_of(revision),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(revision)],
        },
        "spec": {
            "replicas": initial_scale(revision, settings),
            "selector": {"matchLabels": {serving.REVISION_UID_LABEL: uid_of(revision)}},
            "progressDeadlineSeconds": progress_deadline(revision, settings),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": make_pod_spec(revision),
            },
        },
    }


def initial_scale(revision: Object, settings: Settings) -> int:
    """Pods at creation; 0 only where the cluster allows it."""
    found = find(annotations_of(revision), "initial-scale")
    if found is None:
        return settings.autoscaler.initial_scale
    scale = int(found[1])
    allowed = scale > 0 or settings.autoscaler.allow_zero_initial_scale
    return scale if allowed else settings.autoscaler.initial_scale


def progress_deadline(revision: Object, settings: Settings) -> int:
    """Seconds until a Revision without a ready pod counts as failed."""
    text = annotations_of(revision).get(serving.PROGRESS_DEADLINE_ANNOTATION)
    if not text:
        return settings.deployment.progress_deadline
    try:
        return max(1, int(parse_duration(text)))
    except ValueError:
        return settings.deployment.progress_deadline


def container_port(revision: Object) -> int:
    """The port that requests go to."""
    for container in items(revision, "spec", "containers"):
        for port in items(container, "ports"):
            return port.get("containerPort") or DEFAULT_PORT
    return DEFAULT_PORT


def is_http2(revision: Object) -> bool:
    """Whether the container speaks HTTP/2 with prior knowledge."""
    return any(
        port.get("name") == "h2c"
        for container in items(revision, "spec", "containers")
        for port in items(container, "ports")
    )


def make_pod_spec(revision: Object) -> Object:
    """The pod's spec: the revision's, with environment, port and probes filled in."""
    source: Object = revision["spec"]
    spec: Object = {k: thaw(v) for k, v in source.items() if k not in _KNATIVE_FIELDS}
    containers: list[Object] = spec["containers"]
    port = container_port(revision)
    for container in containers:
        serves = len(containers) == 1 or bool(container.get("ports"))
        _set_environment(container, revision, port if serves else None)
        if serves:
            _set_port(container, port)
        for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
            if kind in container:
                container[kind] = _probe(container[kind], port)
    for container in items(spec, "initContainers"):
        _set_environment(container, revision, None)
    spec["terminationGracePeriodSeconds"] = source.get("timeoutSeconds", 300)
    return spec


def _set_environment(container: Object, revision: Object, port: int | None) -> None:
    labels = labels_of(revision)
    variables = {
        "K_REVISION": name_of(revision),
        "K_CONFIGURATION": labels.get(serving.CONFIGURATION_LABEL, ""),
        "K_SERVICE": labels.get(serving.SERVICE_LABEL, ""),
    }
    if port is not None:
        variables = {"PORT": str(port), **variables}
    given: list[Object] = container.get("env") or []
    added = [{"name": name, "value": value} for name, value in variables.items()]
    container["env"] = [*given, *added]


def _set_port(container: Object, port: int) -> None:
    declared: Object = (items(container, "ports") or [{}])[0]
    container["ports"] = [
        {
            "name": declared.get("name") or "user-port",
            "containerPort": port,
            "protocol": declared.get("protocol") or "TCP",
        }
    ]


def _probe(probe: Object, port: int) -> Object:
    """A probe a node can carry out: ports filled in, Knative's aggressive period as every second.

    Nodes count in whole seconds; a node that can look more often does so by itself.
    """
    result: Object = dict(probe)
    for handler in ("httpGet", "tcpSocket", "grpc"):
        action: dict[str, Any] | None = result.get(handler)
        # An action may be an empty object: then it is meant, with the default port.
        if action is not None:
            result[handler] = {**action, "port": action.get("port") or port}
    if not result.get("periodSeconds"):
        result["periodSeconds"] = 1
    return result
