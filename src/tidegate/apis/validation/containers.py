"""Checks of one container: image, environment, ports, probes, rights, mounts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from enum import Enum
from fractions import Fraction

from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.fields import part
from tidegate.apis.names import is_dns1123_label
from tidegate.apis.parsing import MAX_INT32
from tidegate.apis.settings import Settings
from tidegate.kube.objects import Object
from tidegate.kube.quantities import parse_quantity

_RESERVED_NAMES = frozenset({"queue-proxy"})
_RESERVED_PATHS = frozenset({"/", "/dev", "/dev/log"})
_RESERVED_PORTS = frozenset({8008, 8012, 8013, 8022, 9090, 9091})
_RESERVED_VARIABLES = frozenset({"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"})
_VARIABLE_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef")
_PORT_NAMES = frozenset({"", "h2c", "http1"})
_TERMINATION_POLICIES = frozenset({"", "File", "FallbackToLogsOnError"})
_PULL_POLICIES = frozenset({"", "Always", "IfNotPresent", "Never"})

# https://github.com/distribution/reference: [host[:port]/]path[:tag][@digest]
_IMAGE = re.compile(
    r"^(?:(?:localhost|[\w.-]+\.[\w.-]+|[\w-]+(?=:\d))(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?$"
)

# Kubernetes' rule since 1.30: what a shell could not set may still be a name.
_VARIABLE = re.compile(r"^[ -<>-~]+$")
_QUANTITY_HINT = "must be a quantity that is not negative, e.g. 500m, 2 or 1.5Gi"


class Role(Enum):
    """What a container is for; the rules differ."""

    SERVING = "serving"
    SIDECAR = "sidecar"
    INIT = "init"


def serving_port(containers: Iterable[Object]) -> Object:
    """The declared port of the container that gets the requests, with its defaults."""
    declared = [port for container in containers for port in container.get("ports") or ()]
    port: Object = dict(declared[-1]) if declared else {}
    return {**port, "name": port.get("name") or "http", "containerPort": port.get("containerPort")}


def validate_container(
    container: Object,
    role: Role,
    volumes: dict[str, Object],
    settings: Settings,
    errors: FieldErrors,
    *,
    port: Object | None,
) -> None:
    """One container; `port` is the serving one, for named probe ports."""
    name = container.get("name") or ""
    if name in _RESERVED_NAMES:
        errors.add(f'"{name}" is a reserved container name', "name")
    elif name and not is_dns1123_label(name):
        errors.invalid(name, "name", "must be a DNS label: lower case letters, digits and '-'")
    _validate_probes(container, role, settings, errors, port)
    _validate_environment(container, role, settings, errors)
    _validate_image(container, errors)
    _validate_ports(container, role, errors)
    _validate_resources(part(container, "resources"), errors.at("resources"))
    _validate_rights(container.get("securityContext") or {}, settings, errors.at("securityContext"))
    policy = container.get("terminationMessagePolicy") or ""
    if policy not in _TERMINATION_POLICIES:
        errors.invalid(policy, "terminationMessagePolicy")
    _validate_mounts(container.get("volumeMounts") or [], volumes, settings, errors)
    if role is not Role.INIT and container.get("restartPolicy"):
        errors.disallowed("restartPolicy")


def _validate_image(container: Object, errors: FieldErrors) -> None:
    image = container.get("image") or ""
    if not image:
        errors.missing("image")
    elif not _IMAGE.match(image):
        errors.add(
            "Failed to parse image reference",
            "image",
            details=f'image: "{image}", error: could not parse reference: {image}',
        )
    policy = container.get("imagePullPolicy") or ""
    if policy not in _PULL_POLICIES:
        errors.invalid(policy, "imagePullPolicy")


def _validate_environment(
    container: Object, role: Role, settings: Settings, errors: FieldErrors
) -> None:
    reserved = _RESERVED_VARIABLES if role is Role.SERVING else _RESERVED_VARIABLES - {"PORT"}
    for index, variable in enumerate(container.get("env") or ()):
        place = errors.at("env", index)
        name = variable.get("name") or ""
        if not name:
            place.missing("name")
        elif name in reserved:
            place.add(f'"{name}" is a reserved environment variable', "name")
        elif not _VARIABLE.match(name):
            place.invalid(name, "name", "must be printable ASCII characters other than '='")
        source: Object = variable.get("valueFrom") or {}
        if source:
            _validate_one_of(source, _VARIABLE_SOURCES, place.at("valueFrom"))
        if not settings.features.is_allowed("kubernetes.podspec-fieldref"):
            gated = [key for key in ("fieldRef", "resourceFieldRef") if source.get(key)]
            if gated:
                place.at("valueFrom").disallowed(*gated)
    for index, source in enumerate(container.get("envFrom") or ()):
        _validate_one_of(source, ("configMapRef", "secretRef"), errors.at("envFrom", index))


def _validate_one_of(value: Object, names: tuple[str, ...], errors: FieldErrors) -> None:
    given = [name for name in names if value.get(name) is not None]
    if not given:
        errors.missing_one_of(*names)
    elif len(given) > 1:
        errors.multiple_one_of(*given)


def _validate_ports(container: Object, role: Role, errors: FieldErrors) -> None:
    ports: list[Object] = container.get("ports") or []
    checked = ports if role is Role.INIT else ports[:1]
    for port in checked:
        number = port.get("containerPort") or 0
        place = errors.at("ports")
        if number in _RESERVED_PORTS:
            place.invalid(
                f"{number} is a reserved port",
                "containerPort",
                f"{number} is a reserved port, please use a different value",
            )
        if not 0 <= number <= 65535:
            place.out_of_bounds(number, 0, 65535, "containerPort")
        if role is Role.INIT:
            continue
        if port.get("protocol") not in (None, "", "TCP"):
            place.invalid(port["protocol"], "protocol")
        if (port.get("name") or "") not in _PORT_NAMES:
            place.add(
                f"Port name {port['name']} is not allowed",
                "",
                details="Name must be empty, or one of: 'h2c', 'http1'",
            )


def _validate_resources(resources: Object, errors: FieldErrors) -> None:
    amounts: dict[str, dict[str, Fraction]] = {"limits": {}, "requests": {}}
    for section, found in amounts.items():
        for name, value in part(resources, section).items():
            try:
                found[name] = parse_quantity(value)
            except ValueError:
                errors.at(section).invalid(value, name, _QUANTITY_HINT)
                continue
            if found[name] < 0:
                errors.at(section).invalid(value, name, _QUANTITY_HINT)
    for name, request in amounts["requests"].items():
        if request > amounts["limits"].get(name, request):
            limit = resources["limits"][name]
            text = f"must be less than or equal to {name} limit of {limit}"
            errors.at("requests").invalid(resources["requests"][name], name, text)


def _validate_probes(
    container: Object,
    role: Role,
    settings: Settings,
    errors: FieldErrors,
    port: Object | None,
) -> None:
    kinds = ("livenessProbe", "readinessProbe", "startupProbe")
    for kind in kinds:
        probe: Object | None = container.get(kind)
        if probe is None:
            continue
        if role is Role.INIT:
            errors.add("field not allowed in an init container", kind)
            continue
        if role is Role.SIDECAR and not settings.features.is_enabled("multi-container-probing"):
            errors.at(kind).disallowed(*sorted(probe))
            continue
        _validate_probe(probe, port, errors.at(kind))
        if kind == "readinessProbe":
            _validate_readiness(probe, errors.at(kind))


def _validate_probe(probe: Object, port: Object | None, errors: FieldErrors) -> None:
    _validate_one_of(probe, ("httpGet", "tcpSocket", "exec", "grpc"), errors)
    for handler in ("httpGet", "tcpSocket"):
        named = part(probe, handler).get("port")
        if isinstance(named, str) and named and (port is None or named != port["name"]):
            errors.invalid(named, f"{handler}.port", "Probe port must match container port")


def _validate_readiness(probe: Object, errors: FieldErrors) -> None:
    period = probe.get("periodSeconds") or 0
    for name in ("periodSeconds", "initialDelaySeconds"):
        value = probe.get(name) or 0
        if value < 0:
            errors.out_of_bounds(value, 0, MAX_INT32, name)
    successes = probe.get("successThreshold") or 0
    if successes < 1:
        errors.out_of_bounds(successes, 1, MAX_INT32, "successThreshold")
    for name in ("failureThreshold", "timeoutSeconds"):
        value = probe.get(name) or 0
        if period == 0 and value != 0:
            errors.add(f"{name} is disallowed when periodSeconds is zero", name)
        if period != 0 and value < 1:
            errors.out_of_bounds(value, 1, MAX_INT32, name)


def _validate_rights(context: Object, settings: Settings, errors: FieldErrors) -> None:
    if context.get("privileged"):
        errors.disallowed("privileged")
    added: list[str] = part(context, "capabilities").get("add") or []
    allowed = settings.features.is_allowed("kubernetes.containerspec-addcapabilities")
    if not allowed and any(name != "NET_BIND_SERVICE" for name in added):
        errors.at("capabilities").disallowed("add")
    for name in ("runAsUser", "runAsGroup"):
        value = context.get(name)
        if value is not None and not 0 <= value <= MAX_INT32:
            errors.out_of_bounds(value, 0, MAX_INT32, name)


def _validate_mounts(
    mounts: list[Object], volumes: dict[str, Object], settings: Settings, errors: FieldErrors
) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        place = errors.at("volumeMounts", index)
        volume = volumes.get(mount.get("name") or "")
        if volume is None:
            place.add("volumeMount has no matching volume", "name")
        _validate_mount_path(mount.get("mountPath") or "", seen, place)
        propagation = settings.features.is_allowed("kubernetes.podspec-volumes-mount-propagation")
        if mount.get("mountPropagation") and not propagation:
            place.disallowed("mountPropagation")
        claim: Object = (volume or {}).get("persistentVolumeClaim") or {}
        if claim.get("readOnly") and not mount.get("readOnly"):
            place.add("volume is readOnly but volume mount is not", "readOnly")


def _validate_mount_path(path: str, seen: set[str], errors: FieldErrors) -> None:
    clean = re.sub("^/+", "/", posixpath.normpath(path))
    if not path:
        errors.missing("mountPath")
    elif clean in _RESERVED_PATHS:
        errors.add(f'mountPath "{clean}" is a reserved path', "mountPath")
    elif not path.startswith("/"):
        errors.invalid(path, "mountPath")
    elif clean in seen:
        errors.invalid(f'"{path}" must be unique', "mountPath")
    seen.add(clean)
