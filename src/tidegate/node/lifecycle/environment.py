"""A container's program, arguments and environment, from its pod and its image.

Later entries win: what the platform gives, the image's own, `envFrom`, `env`; but the variables
that tell the program its ports are the node's alone, for only the node knows the real ports.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegate.kube.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from tidegate.kube.quantities import parse_quantity
from tidegate.node.capacity import machine_cpus, machine_memory
from tidegate.node.fields import part
from tidegate.node.images.manifest import ImagePort
from tidegate.node.images.store import Image
from tidegate.node.lifecycle.asked_ports import asked_port, neighbour_ports, ports_beside
from tidegate.node.lifecycle.sources import ConfigError, Sources
from tidegate.node.lifecycle.status import POD_IP

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")
_DIVISORS = {"cpu": "1", "memory": "1", "ephemeral-storage": "1"}
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` replaced where NAME is known; `$$` stands for `$`."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return values.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def command_line(container: Object, image: Image, values: Mapping[str, str]) -> tuple[str, ...]:
    """Program and arguments: the pod's, else the image's. Raises ConfigError if there is none."""
    command: Sequence[str] = container.get("command") or ()
    args: Sequence[str] = container.get("args") or ()
    if not command:
        command = image.manifest.command
        args = args or image.manifest.args
    line = tuple(expand(word, values) for word in (*command, *args))
    if not line:
        raise ConfigError(
            f"container {container['name']}: neither the pod nor the image {image.name} names a"
            " command"
        )
    return line


def declared_ports(container: Object, image_ports: Sequence[ImagePort]) -> list[int]:
    """The container ports that need a real one, the first being what `PORT` tells."""
    own = [int(port["containerPort"]) for port in container.get("ports") or ()]
    asked = asked_port(container)
    if asked is not None:
        own = [asked]
        image_ports = [port for port in image_ports if port.env != "PORT"]
    return list(dict.fromkeys([*own, *(port.container for port in image_ports)]))


def wanted_ports(
    pod: Object, container: Object, image_ports: Sequence[ImagePort]
) -> tuple[list[int], set[int]]:
    """The container ports that need a real one, and those that are best their own real ports."""
    wanted = declared_ports(container, ports_beside(pod, container, image_ports))
    return wanted, neighbour_ports(pod, container, declared_ports(container, image_ports))


def port_variables(
    container: Object, image_ports: Sequence[ImagePort], real: Mapping[int, int]
) -> dict[str, str]:
    """The variables that tell a program its real ports.

    The image names a variable for each of its ports. `PORT` is the first declared port unless the
    image says otherwise, and every port of the pod also has `PORT_<container port>`.
    """
    declared = declared_ports(container, image_ports)
    values = {f"PORT_{port}": str(number) for port, number in real.items()}
    if declared and declared[0] in real:
        values["PORT"] = str(real[declared[0]])
    for port in image_ports:
        if port.container in declared and port.container in real:
            values[port.env] = str(real[port.container])
    own = {int(port["containerPort"]) for port in container.get("ports") or ()}
    if own and own.isdisjoint(port.container for port in image_ports):
        # The pod says that the program listens on a port the image does not know of: the
        # program takes its port from PORT, whatever the image's manifest calls it.
        values["PORT"] = str(real[declared[0]])
    return values


async def variables(
    pod: Object,
    container: Object,
    *,
    base: Mapping[str, str],
    fixed: Mapping[str, str],
    sources: Sources,
    node_name: str,
) -> dict[str, str]:
    """The complete environment.

    Args:
        base: what the platform and the image give.
        fixed: what nobody may override.
    Raises:
        ConfigError: a reference leads nowhere.
    """
    values = {**base, **fixed}
    for entry in container.get("envFrom") or ():
        values.update({k: v for k, v in (await _from(entry, sources)).items() if k not in fixed})
    for entry in container.get("env") or ():
        if entry["name"] in fixed:
            continue
        value = await _value(pod, container, entry, values, sources, node_name)
        if value is not None:
            values[entry["name"]] = value
    return values


def base_variables(image: Image) -> dict[str, str]:
    """PATH with the image's environment first, and the image's own variables."""
    path = f"{image.environment / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "LANG": "C.UTF-8", "VIRTUAL_ENV": str(image.environment)} | (
        image.manifest.env
    )


def working_directory(container: Object, image: Image, mounted: Sequence[str]) -> Path:
    """`workingDir`: in what is mounted, else in the image's copy, else that copy itself.

    Args:
        mounted: the paths at which the container sees volumes.
    """
    asked = str(container.get("workingDir") or "")
    if any(Path(asked).is_relative_to(path) for path in mounted):
        return Path(asked)
    wanted = asked.lstrip("/")
    inside = (image.rootfs / wanted).resolve()
    root = image.rootfs.resolve()
    return inside if inside.is_relative_to(root) and inside.is_dir() else root


def field_value(pod: Object, path: str, node_name: str) -> str:
    """What the downward API gives for a field path. Raises ConfigError for unknown ones."""
    spec: Object = pod["spec"]
    simple = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "metadata.labels": _pairs(labels_of(pod)),
        "metadata.annotations": _pairs(annotations_of(pod)),
        "spec.nodeName": node_name,
        "spec.serviceAccountName": str(spec.get("serviceAccountName") or "default"),
        "status.hostIP": POD_IP,
        "status.hostIPs": POD_IP,
        "status.podIP": POD_IP,
        "status.podIPs": POD_IP,
    }
    if path in simple:
        return simple[path]
    match = _SUBSCRIPT.match(path)
    if match is None:
        raise ConfigError(f"fieldRef: {path!r} is not supported")
    return (labels_of(pod) if match[1] == "labels" else annotations_of(pod)).get(match[2], "")


def _pairs(values: Mapping[str, str]) -> str:
    quoted = (
        (key, value.replace("\\", "\\\\").replace('"', '\\"'))
        for key, value in sorted(values.items())
    )
    return "\n".join(f'{key}="{value}"' for key, value in quoted)


async def _from(entry: Object, sources: Sources) -> dict[str, str]:
    prefix = str(entry.get("prefix") or "")
    contents: Mapping[str, bytes] = {}
    if "configMapRef" in entry:
        reference = entry["configMapRef"]
        contents = await sources.config_map(
            reference["name"], optional=bool(reference.get("optional"))
        )
    elif "secretRef" in entry:
        reference = entry["secretRef"]
        contents = await sources.secret(reference["name"], optional=bool(reference.get("optional")))
    return {f"{prefix}{key}": value.decode(errors="replace") for key, value in contents.items()}


async def _value(
    pod: Object,
    container: Object,
    entry: Object,
    values: Mapping[str, str],
    sources: Sources,
    node_name: str,
) -> str | None:
    source: Object | None = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value") or ""), values)
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], node_name)
    if "configMapKeyRef" in source:
        return await _key(source["configMapKeyRef"], "configmap", sources)
    if "secretKeyRef" in source:
        return await _key(source["secretKeyRef"], "secret", sources)
    if "resourceFieldRef" in source:
        return resource_value(container, source["resourceFieldRef"])
    raise ConfigError(f"env {entry['name']}: this valueFrom is not supported")


async def _key(reference: Object, kind: str, sources: Sources) -> str | None:
    optional = bool(reference.get("optional"))
    read = sources.config_map if kind == "configmap" else sources.secret
    contents = await read(reference["name"], optional=optional)
    value = contents.get(reference["key"])
    if value is None and not optional:
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
    return None if value is None else value.decode(errors="replace")


def resource_value(container: Object, reference: Object) -> str:
    """What the downward API gives for a `resourceFieldRef`: in units of its divisor, rounded up.

    A limit that is not set is the machine's capacity.

    Raises:
        ConfigError: there is no such resource, or a quantity is none.
    """
    path = str(reference["resource"])
    group, _, name = path.partition(".")
    if group not in ("limits", "requests") or name not in _DIVISORS:
        raise ConfigError(f"resourceFieldRef: {path!r} is not supported")
    resources = part(container, "resources")
    amounts = part(resources, "limits") | part(resources, group)
    value = amounts.get(name, _capacity(name) if group == "limits" else "0")
    divisor = str(reference.get("divisor") or "0")
    try:
        unit = parse_quantity(divisor) or parse_quantity(_DIVISORS[name])
        return str(math.ceil(parse_quantity(str(value)) / unit))
    except ValueError as error:
        raise ConfigError(f"resourceFieldRef {path}: {error}") from error


def _capacity(name: str) -> str:
    if name == "cpu":
        return str(machine_cpus())
    if name == "memory":
        return str(machine_memory())
    return "0"
