"""What makes probes and hooks valid, in Kubernetes' words."""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import (
    not_negative,
    supported,
    validate_port_or_name,
)
from tidegate.apiserver.values import mapping, objects, section, strings
from tidegate.kube.objects import Object

_PROBES = ("httpGet", "tcpSocket", "exec", "grpc")
_HOOKS = ("exec", "httpGet", "tcpSocket", "sleep")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_HEADER_MESSAGE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name',"
    " regex used for validation is '[-A-Za-z0-9]+')"
)


def validate_probe(probe: Object, path: str, kind: str, errors: FieldErrors) -> None:
    """A probe; `kind` is the field that it stands in."""
    _validate_handler(probe, _PROBES, path, errors)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"):
        not_negative(probe, name, path, errors)
    grace = probe.get("terminationGracePeriodSeconds")
    where = f"{path}.terminationGracePeriodSeconds"
    if kind == "readinessProbe":
        not_negative(probe, "successThreshold", path, errors)
        if grace is not None:
            errors.invalid(where, grace, "must not be set for readinessProbes")
        return
    if probe.get("successThreshold") not in (None, 1):
        errors.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    if grace is not None and grace <= 0:
        errors.invalid(where, grace, "must be greater than 0")


def validate_lifecycle(
    lifecycle: Object, path: str, grace: int | None, errors: FieldErrors
) -> None:
    """The hooks of a container whose pod has `grace` seconds to end."""
    for name in ("postStart", "preStop"):
        if name not in lifecycle:
            continue
        hook, where = mapping(lifecycle[name]), f"{path}.{name}"
        _validate_handler(hook, _HOOKS, where, errors)
        seconds = section(hook, "sleep").get("seconds")
        if seconds is not None and not 0 < seconds <= (grace or 0):
            errors.invalid(
                f"{where}.sleep",
                seconds,
                f"must be greater than 0 and less than terminationGracePeriodSeconds ({grace})",
            )


def _validate_handler(obj: Object, kinds: tuple[str, ...], path: str, errors: FieldErrors) -> None:
    handlers = [name for name in kinds if name in obj]
    if not handlers:
        errors.required(path, "must specify a handler type")
    for name in handlers[1:]:
        errors.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
    for name in handlers:
        handler, where = mapping(obj[name]), f"{path}.{name}"
        if name == "exec":
            if not strings(handler.get("command")):
                errors.required(f"{where}.command")
        elif name != "sleep":
            _validate_target(handler, where, errors)


def _validate_target(handler: Object, path: str, errors: FieldErrors) -> None:
    port = handler.get("port")
    if port in (None, ""):
        errors.required(f"{path}.port")
    else:
        validate_port_or_name(port, f"{path}.port", errors)
    supported(handler, "scheme", ("HTTP", "HTTPS"), path, errors)
    for header in objects(handler.get("httpHeaders")):
        name = str(header.get("name") or "")
        if not _HEADER.fullmatch(name):
            errors.invalid(f"{path}.httpHeaders", name, _HEADER_MESSAGE)
