"""The defaults of pods and pod templates, as Kubernetes documents them."""

from __future__ import annotations

from tidegate.apiserver.registry.kinds.podpriority import default_tolerations
from tidegate.apiserver.values import ensure, mapping, objects, section
from tidegate.kube.objects import Object

_FILE_MODE = 0o644
_TOKEN_SECONDS = 3600
_VOLUMES_WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")


def default_pod(pod: Object) -> None:
    """A pod of its own; in addition to what its template would get."""
    spec = ensure(pod, "spec")
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    if not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec.get("serviceAccount") or "default"
    spec["serviceAccount"] = spec["serviceAccountName"]
    default_tolerations(spec)
    status = ensure(pod, "status")
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", quality_of_service(spec))


def default_template(template: Object) -> None:
    """A pod template, e.g. of a Deployment."""
    ensure(template, "metadata")
    spec = ensure(template, "spec")
    default_pod_spec(spec)
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]


def default_pod_spec(spec: Object) -> None:
    """What pods and templates have in common."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for name in ("containers", "initContainers"):
        for container in objects(spec.get(name)):
            _default_container(container)
    for volume in objects(spec.get("volumes")):
        _default_volume(volume)


def quality_of_service(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, from the resources of the containers."""
    guaranteed, any_set = True, False
    for container in [*objects(spec.get("containers")), *objects(spec.get("initContainers"))]:
        limits = section(container, "resources", "limits")
        requests = section(container, "resources", "requests")
        any_set = any_set or bool(limits) or bool(requests)
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def default_pull_policy(image: str) -> str:
    """Always for `latest` and untagged images, else IfNotPresent."""
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_container(container: Object) -> None:
    container.setdefault("imagePullPolicy", default_pull_policy(str(container.get("image") or "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = ensure(container, "resources")
    if resources.get("limits"):
        requests = ensure(resources, "requests")
        for name, value in mapping(resources["limits"]).items():
            requests.setdefault(name, value)
    for port in objects(container.get("ports")):
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _default_probe(mapping(container[name]))
    for name in ("postStart", "preStop"):
        _default_http(section(container, "lifecycle", name))
    for variable in objects(container.get("env")):
        reference = section(variable, "valueFrom", "fieldRef")
        if reference:
            reference.setdefault("apiVersion", "v1")


def _default_probe(probe: Object) -> None:
    for name, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(name):
            probe[name] = value
    _default_http(probe)


def _default_http(handler: Object) -> None:
    get = handler.get("httpGet")
    if isinstance(get, dict):
        request = mapping(get)  # pyright: ignore[reportUnknownArgumentType]
        request.setdefault("path", "/")
        request.setdefault("scheme", "HTTP")


def _default_volume(volume: Object) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for name in _VOLUMES_WITH_MODE:
        if name in volume:
            mapping(volume[name]).setdefault("defaultMode", _FILE_MODE)
    _default_files(section(volume, "downwardAPI"))
    for source in objects(section(volume, "projected").get("sources")):
        _default_files(section(source, "downwardAPI"))
        if "serviceAccountToken" in source:
            mapping(source["serviceAccountToken"]).setdefault("expirationSeconds", _TOKEN_SECONDS)
    if "hostPath" in volume:
        mapping(volume["hostPath"]).setdefault("type", "")


def _default_files(source: Object) -> None:
    for item in objects(source.get("items")):
        if "fieldRef" in item:
            mapping(item["fieldRef"]).setdefault("apiVersion", "v1")
