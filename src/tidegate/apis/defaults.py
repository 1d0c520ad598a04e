"""What Knative fills in where a user says nothing; every function changes its argument in place.

The callers pass copies. Source: Knative Serving's `*_defaults.go`.
"""

from __future__ import annotations

from tidegate.apis.config_sections import Defaults
from tidegate.apis.fields import items, part
from tidegate.apis.settings import Settings
from tidegate.apis.templates import render
from tidegate.kube.objects import Object, thaw

_PROBE_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
_FIRST_FREE_PORT = 1024
_WRITABLE_VOLUMES = ("emptyDir", "persistentVolumeClaim", "ephemeral")


def with_defaults(obj: Object, settings: Settings) -> Object:
    """A Service, Configuration or Route as admission would have made it.

    An API without our admission, a real cluster's, hands out what users wrote. What has gone
    through admission is returned as it is: later changes of the cluster's defaults must not
    change it.
    """
    kind = obj["kind"]
    spec: Object = thaw(obj.get("spec") or {})
    has_template = "timeoutSeconds" in part(spec, "template", "spec")
    if (kind == "Route" or has_template) and (kind == "Configuration" or spec.get("traffic")):
        return obj
    if kind == "Service":
        set_service_defaults(spec, settings, obj["metadata"], template=not has_template)
    elif kind == "Configuration":
        set_template_defaults(spec, settings, obj["metadata"])
    else:
        set_traffic_defaults(spec)
    return {**obj, "spec": spec}


def set_service_defaults(
    spec: Object, settings: Settings, metadata: Object, *, template: bool = True
) -> None:
    """Defaults of a Service's spec; `template` False leaves the template as it is."""
    if template:
        set_template_defaults(spec, settings, metadata)
    if not spec.get("traffic"):
        spec["traffic"] = [{"percent": 100, "latestRevision": True}]
    set_traffic_defaults(spec)


def set_template_defaults(spec: Object, settings: Settings, metadata: Object) -> None:
    """Defaults of `spec.template`; `metadata` is of the object that has it."""
    template = spec.setdefault("template", {})
    set_revision_defaults(template.setdefault("spec", {}), settings, metadata)


def set_traffic_defaults(spec: Object) -> None:
    """Defaults of each traffic target."""
    for target in spec.get("traffic") or ():
        if target.get("latestRevision") is None:
            target["latestRevision"] = not target.get("revisionName")
        target.setdefault("percent", 0)


def set_revision_defaults(spec: Object, settings: Settings, metadata: Object) -> None:
    """Defaults of a revision's spec; templates of names see `metadata`."""
    defaults = settings.defaults
    if not spec.get("timeoutSeconds"):
        spec["timeoutSeconds"] = defaults.revision_timeout_seconds
    _set_shorter_timeouts(spec, defaults)
    spec.setdefault("containerConcurrency", defaults.container_concurrency)
    spec.setdefault("enableServiceLinks", defaults.enable_service_links)
    containers: list[Object] = spec.get("containers") or []
    _name_containers(containers, defaults.container_name_template, metadata)
    init_containers: list[Object] = spec.get("initContainers") or []
    _name_containers(init_containers, defaults.init_container_name_template, metadata)
    writable = _writable_volumes(spec)
    secure = settings.features.secure_pods
    for container in (*containers, *init_containers):
        _set_resource_defaults(container, defaults)
        _set_mount_defaults(container, writable)
        if secure in ("enabled", "allowrootbounded"):
            root = secure == "allowrootbounded"
            _set_rights(container, part(spec, "securityContext"), root_allowed=root)
    sidecars_too = settings.features.is_enabled("multi-container-probing")
    for container in containers:
        serves = len(containers) == 1 or bool(container.get("ports"))
        _set_probe_defaults(container, serves=serves, sidecars_too=sidecars_too)


def _set_shorter_timeouts(spec: Object, defaults: Defaults) -> None:
    # A cluster default that is not below the total would only restate it, so it is left out.
    timeout = spec["timeoutSeconds"]
    for key, value in (
        ("responseStartTimeoutSeconds", defaults.revision_response_start_timeout_seconds),
        ("idleTimeoutSeconds", defaults.revision_idle_timeout_seconds),
    ):
        if spec.get(key) is None and 0 < value < timeout:
            spec[key] = value


def _name_containers(containers: list[Object], template: str, metadata: Object) -> None:
    name = render(
        template,
        {"Name": metadata.get("name") or "", "Namespace": metadata.get("namespace") or ""},
        annotations=metadata.get("annotations"),
        labels=metadata.get("labels"),
    )
    for index, container in enumerate(containers):
        if not container.get("name"):
            container["name"] = f"{name}-{index}" if len(containers) > 1 else name


def _writable_volumes(spec: Object) -> set[str]:
    return {
        str(volume.get("name"))
        for volume in spec.get("volumes") or ()
        if any(source in volume for source in _WRITABLE_VOLUMES)
    }


def _set_mount_defaults(container: Object, writable: set[str]) -> None:
    for mount in container.get("volumeMounts") or ():
        if mount.get("name") not in writable:
            mount["readOnly"] = True


def _set_rights(container: Object, of_pod: Object, *, root_allowed: bool) -> None:
    """As few rights as `secure-pod-defaults` leaves to who asks for none."""
    rights: Object = container.setdefault("securityContext", {})
    rights.setdefault("allowPrivilegeEscalation", False)
    if not part(of_pod, "seccompProfile").get("type"):
        rights.setdefault("seccompProfile", {}).setdefault("type", "RuntimeDefault")
    if rights.get("capabilities") is None:
        ports = [port.get("containerPort") or 0 for port in items(container, "ports")]
        low = any(0 < port < _FIRST_FREE_PORT for port in ports)
        add: Object = {"add": ["NET_BIND_SERVICE"]} if low else {}
        rights["capabilities"] = {"drop": ["ALL"], **add}
    if not root_allowed and of_pod.get("runAsNonRoot") is None:
        rights.setdefault("runAsNonRoot", True)


def _set_probe_defaults(container: Object, *, serves: bool, sidecars_too: bool) -> None:
    if serves:
        container.setdefault("readinessProbe", {})
    probe: Object | None = container.get("readinessProbe")
    if probe is not None and (serves or sidecars_too):
        _set_readiness_defaults(probe)
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        _set_grpc_defaults(container.get(kind))


def _set_resource_defaults(container: Object, defaults: Defaults) -> None:
    resources = container.setdefault("resources", {})
    for section in ("requests", "limits"):
        for name in ("cpu", "memory", "ephemeral-storage"):
            value = getattr(defaults, f"revision_{name.replace('-', '_')}_{section[:-1]}")
            if value is not None:
                resources.setdefault(section, {}).setdefault(name, value)


def _set_readiness_defaults(probe: Object) -> None:
    if not any(probe.get(handler) is not None for handler in _PROBE_HANDLERS):
        probe["tcpSocket"] = {"port": 0}
    probe["successThreshold"] = probe.get("successThreshold") or 1
    if probe.get("periodSeconds"):
        probe["failureThreshold"] = probe.get("failureThreshold") or 3
        probe["timeoutSeconds"] = probe.get("timeoutSeconds") or 1


def _set_grpc_defaults(probe: Object | None) -> None:
    if probe and probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")
