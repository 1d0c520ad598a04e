"""What makes a pod spec valid, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.apiserver.registry.fielderrors import FieldErrors, join
from tidegate.apiserver.registry.names import label_problem, subdomain_problem, validate_labels
from tidegate.apiserver.values import mapping, objects, section, strings
from tidegate.kube.objects import Object, thaw
from tidegate.kube.quantities import parse_quantity

_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
    " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set"
    " to 1 if it was previously negative)"
)


def validate_pod(pod: Object, old: Object | None, errors: FieldErrors) -> None:
    """A pod; of an existing one only a few fields may change."""
    spec = section(pod, "spec")
    validate_pod_spec(spec, "spec", errors)
    if old is not None and _fixed_part(spec, old) != _fixed_part(section(old, "spec"), old):
        errors.forbidden("spec", _MUTABLE)


def validate_template(template: Object, path: str, errors: FieldErrors) -> None:
    """A pod template at `path`."""
    validate_labels(section(template, "metadata").get("labels"), f"{path}.metadata.labels", errors)
    validate_pod_spec(section(template, "spec"), f"{path}.spec", errors)


def validate_pod_spec(spec: Object, path: str, errors: FieldErrors) -> None:
    """Containers, volumes and the rest."""
    volumes = _validate_volumes(objects(spec.get("volumes")), f"{path}.volumes", errors)
    if not spec.get("containers"):
        errors.required(f"{path}.containers")
    names: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(objects(spec.get(field))):
            where = f"{path}.{field}[{index}]"
            _validate_container(container, where, volumes, names, errors)
    supported(spec, "restartPolicy", ("Always", "OnFailure", "Never"), path, errors)
    supported(
        spec,
        "dnsPolicy",
        ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        path,
        errors,
    )
    not_negative(spec, "terminationGracePeriodSeconds", path, errors)
    account = spec.get("serviceAccountName")
    problem = subdomain_problem(account) if account else None
    if problem:
        errors.invalid(f"{path}.serviceAccountName", account, problem)
    validate_labels(spec.get("nodeSelector"), f"{path}.nodeSelector", errors)


def supported(
    obj: Object, field: str, values: Sequence[str], path: str, errors: FieldErrors
) -> None:
    """A field, where given, must have one of these values."""
    value = obj.get(field)
    if value is not None and value not in values:
        errors.not_supported(f"{path}.{field}", value, values)


def not_negative(obj: Object, field: str, path: str, errors: FieldErrors) -> None:
    """A number, where given, must not be negative."""
    value = obj.get(field)
    if value is not None and value < 0:
        errors.invalid(f"{path}.{field}", value, "must be greater than or equal to 0")


def validate_port(value: Any, path: str, errors: FieldErrors) -> None:
    """A port number."""
    if type(value) is int and not 1 <= value <= 65535:
        errors.invalid(path, value, "must be between 1 and 65535, inclusive")


def _validate_resources(resources: Object, path: str, errors: FieldErrors) -> None:
    limits, requests = mapping(resources.get("limits")), mapping(resources.get("requests"))
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if parse_quantity(amount) < 0:
                detail = "must be greater than or equal to 0"
                errors.invalid(join(f"{path}.{field}", name), amount, detail)
    for name, amount in requests.items():
        if name in limits and parse_quantity(amount) > parse_quantity(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            errors.invalid(f"{path}.requests", amount, detail)


def _validate_container(
    container: Object, path: str, volumes: set[str], names: set[str], errors: FieldErrors
) -> None:
    _validate_name(container.get("name"), f"{path}.name", names, errors)
    image = container.get("image")
    if not image:
        errors.required(f"{path}.image")
    elif image != image.strip():
        errors.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    supported(container, "imagePullPolicy", ("Always", "IfNotPresent", "Never"), path, errors)
    _validate_resources(section(container, "resources"), f"{path}.resources", errors)
    _validate_ports(objects(container.get("ports")), f"{path}.ports", errors)
    for index, variable in enumerate(objects(container.get("env"))):
        _validate_variable(variable, f"{path}.env[{index}]", errors)
    _validate_mounts(
        objects(container.get("volumeMounts")), f"{path}.volumeMounts", volumes, errors
    )
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _validate_probe(mapping(container[name]), f"{path}.{name}", name, errors)


def _validate_name(name: Any, path: str, taken: set[str], errors: FieldErrors) -> None:
    if not name:
        errors.required(path)
        return
    problem = label_problem(name)
    if problem:
        errors.invalid(path, name, problem)
    elif name in taken:
        errors.duplicate(path, name)
    taken.add(name)


def _validate_ports(ports: list[Object], path: str, errors: FieldErrors) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        number = port.get("containerPort")
        if not number:
            errors.required(f"{where}.containerPort")
        validate_port(number, f"{where}.containerPort", errors)
        supported(port, "protocol", _PROTOCOLS, where, errors)
        name = port.get("name")
        if name and name in names:
            errors.duplicate(f"{where}.name", name)
        elif name and len(name) > 15:
            errors.invalid(f"{where}.name", name, "must be no more than 15 characters")
        names.add(str(name))


def _validate_variable(variable: Object, path: str, errors: FieldErrors) -> None:
    name = variable.get("name")
    if not name:
        errors.required(f"{path}.name")
    elif "=" in name or not name.isprintable():
        errors.invalid(
            f"{path}.name",
            name,
            "a valid environment variable name must consist only of printable ASCII characters"
            " other than '='",
        )
    source = section(variable, "valueFrom")
    if source and variable.get("value"):
        errors.invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    if "valueFrom" in variable and len(source) != 1:
        detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or"
        errors.invalid(f"{path}.valueFrom", "", f"{detail} `secretKeyRef`")


def _validate_mounts(
    mounts: list[Object], path: str, volumes: set[str], errors: FieldErrors
) -> None:
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        name, target = mount.get("name"), mount.get("mountPath")
        if not name:
            errors.required(f"{where}.name")
        elif name not in volumes:
            errors.not_found(f"{where}.name", name)
        if not target:
            errors.required(f"{where}.mountPath")
        elif target in paths:
            errors.invalid(f"{where}.mountPath", target, "must be unique")
        paths.add(str(target))


def _validate_probe(probe: Object, path: str, kind: str, errors: FieldErrors) -> None:
    handlers = [name for name in _HANDLERS if name in probe]
    if not handlers:
        errors.required(path, "must specify a handler type")
    for name in handlers[1:]:
        errors.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
        not_negative(probe, name, path, errors)
    if kind != "readinessProbe" and probe.get("successThreshold") not in (None, 1):
        errors.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    for name in handlers:
        port = section(probe, name).get("port")
        if name != "exec" and port in (None, ""):
            errors.required(f"{path}.{name}.port")
        validate_port(port, f"{path}.{name}.port", errors)
    if "exec" in probe and not strings(section(probe, "exec").get("command")):
        errors.required(f"{path}.exec.command")


def _validate_volumes(volumes: list[Object], path: str, errors: FieldErrors) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        _validate_name(volume.get("name"), f"{where}.name", names, errors)
        sources = [name for name in volume if name != "name"]
        if not sources:
            errors.required(where, "must specify a volume type")
        for source in sources[1:]:
            errors.forbidden(f"{where}.{source}", "may not specify more than 1 volume type")
    return names


def _fixed_part(spec: Object, old: Object) -> Object:
    """The part of a pod spec that must stay; a pod without a node may still be given one."""
    fixed: Object = thaw(spec)
    for name in ("containers", "initContainers"):
        for container in objects(fixed.get(name)):
            container.pop("image", None)
    for name in ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"):
        fixed.pop(name, None)
    if not section(old, "spec").get("nodeName"):
        fixed.pop("nodeName", None)
        fixed.pop("schedulingGates", None)
    return fixed
