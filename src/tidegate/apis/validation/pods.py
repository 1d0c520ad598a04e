"""Checks of the pod part of a revision: which containers, which fields, which ports."""

from __future__ import annotations

from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.names import subdomain_problems
from tidegate.apis.settings import Settings
from tidegate.apis.validation.containers import Role, serving_port, validate_container
from tidegate.apis.validation.volumes import validate_volumes
from tidegate.kube.objects import Object

MAX_ID = 2**31 - 1

# Field of the pod spec -> feature flag that lets users set it.
_GATED = {
    "affinity": "affinity",
    "topologySpreadConstraints": "topologyspreadconstraints",
    "hostAliases": "hostaliases",
    "nodeSelector": "nodeselector",
    "tolerations": "tolerations",
    "runtimeClassName": "runtimeclassname",
    "securityContext": "securitycontext",
    "shareProcessNamespace": "shareprocessnamespace",
    "priorityClassName": "priorityclassname",
    "schedulerName": "schedulername",
    "dnsPolicy": "dnspolicy",
    "dnsConfig": "dnsconfig",
    "hostIPC": "hostipc",
    "hostPID": "hostpid",
    "hostNetwork": "hostnetwork",
}


def validate_pod_spec(spec: Object, settings: Settings, errors: FieldErrors) -> None:
    """The whole pod part of a revision's spec."""
    _validate_gated_fields(spec, settings, errors)
    _validate_security_context(spec.get("securityContext") or {}, errors.at("securityContext"))
    containers: list[Object] = spec.get("containers") or []
    init_containers: list[Object] = spec.get("initContainers") or []
    mounted = {
        str(mount.get("name"))
        for container in (*init_containers, *containers)
        for mount in container.get("volumeMounts") or ()
    }
    volumes = validate_volumes(spec.get("volumes") or [], mounted, settings, errors)
    _validate_init_containers(init_containers, containers, volumes, settings, errors)
    _validate_containers(containers, volumes, settings, errors)
    name = spec.get("serviceAccountName")
    if name:
        for problem in subdomain_problems(name):
            errors.invalid(name, "serviceAccountName", problem)


def _validate_gated_fields(spec: Object, settings: Settings, errors: FieldErrors) -> None:
    for name, flag in _GATED.items():
        allowed = settings.features.is_allowed(f"kubernetes.podspec-{flag}")
        if spec.get(name) not in (None, False, "", [], {}) and not allowed:
            errors.disallowed(name)
    if spec.get("automountServiceAccountToken"):
        errors.disallowed("automountServiceAccountToken")


def _validate_security_context(context: Object, errors: FieldErrors) -> None:
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        value = context.get(name)
        if isinstance(value, int) and not 0 <= value <= MAX_ID:
            errors.out_of_bounds(value, 0, MAX_ID, name)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group <= MAX_ID:
            errors.at("supplementalGroups", index).out_of_bounds(group, 0, MAX_ID, "")


def _validate_init_containers(
    init_containers: list[Object],
    containers: list[Object],
    volumes: dict[str, Object],
    settings: Settings,
    errors: FieldErrors,
) -> None:
    if not init_containers:
        return
    if not settings.features.is_enabled("kubernetes.podspec-init-containers"):
        errors.add(
            "pod spec support for init-containers is off, "
            f"but found {len(init_containers)} init containers",
            "",
        )
        return
    names = {container.get("name") for container in containers}
    for index, container in enumerate(init_containers):
        place = errors.at("initContainers", index)
        if container.get("name") in names:
            place.add(f'duplicate container name "{container.get("name")}"', "name")
        names.add(container.get("name"))
        validate_container(container, Role.INIT, volumes, settings, place, port=None)


def _validate_containers(
    containers: list[Object],
    volumes: dict[str, Object],
    settings: Settings,
    errors: FieldErrors,
) -> None:
    if not containers:
        errors.missing("containers")
        return
    if len(containers) > 1 and not settings.features.is_enabled("multi-container"):
        errors.add(f"multi-container is off, but found {len(containers)} containers", "")
        return
    _validate_port_count(containers, errors.at("containers[*]"))
    port = serving_port(containers)
    names: set[object] = set()
    for index, container in enumerate(containers):
        place = errors.at("containers", index)
        if container.get("name") in names:
            place.add(f'duplicate container name "{container.get("name")}"', "name")
        names.add(container.get("name"))
        alone = len(containers) == 1 or container.get("ports")
        role = Role.SERVING if alone else Role.SIDECAR
        validate_container(container, role, volumes, settings, place, port=port)


def _validate_port_count(containers: list[Object], errors: FieldErrors) -> None:
    count = sum(len(container.get("ports") or ()) for container in containers)
    if count == 0 and len(containers) > 1:
        errors.missing("ports")
    if count > 1:
        errors.add(
            "more than one container port is set",
            "ports",
            details="Only a single port is allowed across all containers",
        )
