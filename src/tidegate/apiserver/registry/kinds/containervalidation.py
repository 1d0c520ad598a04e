"""What makes the containers of a pod valid, in Kubernetes' words."""

from __future__ import annotations

from typing import Any

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import (
    PROTOCOLS,
    placed,
    supported,
    validate_name,
    validate_port,
    validate_port_name,
)
from tidegate.apiserver.registry.kinds.podsecurity import validate_container_security
from tidegate.apiserver.registry.kinds.probevalidation import validate_lifecycle, validate_probe
from tidegate.apiserver.registry.kinds.resourcevalidation import validate_resources
from tidegate.apiserver.registry.kinds.variablevalidation import validate_environment
from tidegate.apiserver.registry.kinds.volumevalidation import validate_mounts
from tidegate.apiserver.values import mapping, objects, section
from tidegate.kube.objects import Object

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def validate_containers(
    spec: Object, path: str, volumes: set[str], errors: FieldErrors, *, alone: bool
) -> None:
    """The containers and init containers of a pod spec whose volumes have these names."""
    if not spec.get("containers"):
        errors.required(f"{path}.containers")
    names: set[str] = set()
    for where, container in placed(objects(spec.get("containers")), f"{path}.containers"):
        _validate_container(container, where, spec, volumes, names, errors)
        if container.get("restartPolicy"):
            detail = "may not be set for non-init containers"
            errors.forbidden(f"{where}.restartPolicy", detail)
    for where, container in placed(objects(spec.get("initContainers")), f"{path}.initContainers"):
        _validate_container(container, where, spec, volumes, names, errors)
        _validate_init_container(container, where, errors)
    _validate_host_ports(spec, path, errors, alone=alone)


def _validate_container(
    container: Object,
    path: str,
    spec: Object,
    volumes: set[str],
    names: set[str],
    errors: FieldErrors,
) -> None:
    validate_name(container.get("name"), f"{path}.name", names, errors)
    image = container.get("image")
    if not image:
        errors.required(f"{path}.image")
    elif image != image.strip():
        errors.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    supported(container, "imagePullPolicy", ("Always", "IfNotPresent", "Never"), path, errors)
    supported(
        container, "terminationMessagePolicy", ("FallbackToLogsOnError", "File"), path, errors
    )
    validate_resources(section(container, "resources"), f"{path}.resources", errors)
    _validate_ports(objects(container.get("ports")), f"{path}.ports", errors)
    validate_environment(container, path, errors)
    validate_mounts(container, f"{path}.volumeMounts", volumes, errors)
    for name in _PROBES:
        if name in container:
            validate_probe(mapping(container[name]), f"{path}.{name}", name, errors)
    grace = spec.get("terminationGracePeriodSeconds")
    validate_lifecycle(section(container, "lifecycle"), f"{path}.lifecycle", grace, errors)
    validate_container_security(
        section(container, "securityContext"), f"{path}.securityContext", errors
    )


def _validate_init_container(container: Object, path: str, errors: FieldErrors) -> None:
    policy = container.get("restartPolicy")
    if policy is not None and policy != "Always":
        errors.not_supported(f"{path}.restartPolicy", policy, ("Always",))
    if policy == "Always":
        return
    for name in ("lifecycle", *_PROBES):
        if container.get(name):
            errors.forbidden(
                f"{path}.{name}",
                "may not be set for init containers without restartPolicy=Always",
            )


def _validate_ports(ports: list[Object], path: str, errors: FieldErrors) -> None:
    names: set[str] = set()
    for where, port in placed(ports, path):
        if port.get("containerPort"):
            validate_port(port["containerPort"], f"{where}.containerPort", errors)
        else:
            errors.required(f"{where}.containerPort")
        if port.get("hostPort"):
            validate_port(port["hostPort"], f"{where}.hostPort", errors)
        supported(port, "protocol", PROTOCOLS, where, errors)
        name = port.get("name")
        if not name:
            continue
        if name in names:
            errors.duplicate(f"{where}.name", name)
        else:
            validate_port_name(str(name), f"{where}.name", errors)
        names.add(str(name))


def _validate_host_ports(spec: Object, path: str, errors: FieldErrors, *, alone: bool) -> None:
    """Ports of the node are taken once each; with the node's network they are the containers'."""
    taken: set[tuple[Any, ...]] = set()
    for where, port in _ports_of(spec, path):
        number = port.get("hostPort") or 0
        if spec.get("hostNetwork") and (number or alone) and number != port.get("containerPort"):
            detail = "must match `containerPort` when `hostNetwork` is true"
            errors.invalid(f"{where}.hostPort", number, detail)
        if not number:
            continue
        identity = (port.get("protocol"), port.get("hostIP") or "", number)
        if identity in taken:
            errors.duplicate(f"{where}.hostPort", "/".join(str(part) for part in identity))
        taken.add(identity)


def _ports_of(spec: Object, path: str) -> list[tuple[str, Object]]:
    return [
        found
        for where, container in placed(objects(spec.get("containers")), f"{path}.containers")
        for found in placed(objects(container.get("ports")), f"{where}.ports")
    ]
