"""From API objects to the gateway's own terms."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from tidegate.gateway.model import (
    Affinity,
    PodServer,
    Revision,
)
from tidegate.kube.objects import Object, annotations_of, is_deleting, key_of, labels_of

DRAIN = "tidegate.dev/drain"
DRAINED = "tidegate.dev/drained"
MAX_QUEUED = "tidegate.dev/max-queued"
REVISION_LABEL = "serving.knative.dev/revision"
SERVICE_TYPE = "networking.internal.knative.dev/serviceType"

_AFFINITY = "serving.knative.dev.alibabacloud/affinity"
_COOKIE_NAME = "serving.knative.dev.alibabacloud/cookie-name"
_COOKIE_TIMEOUT = "serving.knative.dev.alibabacloud/cookie-timeout"
_DEFAULT_COOKIE = "tidegate-session"
_DEFAULT_COOKIE_SECONDS = 1800
_DEFAULT_TIMEOUT_SECONDS = 300
_COOKIE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_H2_PORTS = frozenset(("h2c", "http2"))


def revision_of(obj: Object, *, affinity: Affinity | None, max_queued: int) -> Revision:
    """A Revision object; `max_queued` holds where no annotation says otherwise."""
    spec: Object = obj.get("spec") or {}
    return Revision(
        key=key_of(obj),
        limit=int(spec.get("containerConcurrency") or 0),
        start_ms=_start_ms(spec),
        idle_ms=int(spec.get("idleTimeoutSeconds") or 0) * 1000,
        max_queued=_whole(annotations_of(obj).get(MAX_QUEUED), max_queued),
        speaks_h2=any(port.get("name") in _H2_PORTS for port in _ports(spec)),
        affinity=affinity,
    )


def affinity_of(ingress: Object) -> Affinity | None:
    """How sessions stick on the hosts of a KIngress; `cookie-timeout` is in seconds."""
    annotations = annotations_of(ingress)
    if annotations.get(_AFFINITY) != "cookie":
        return None
    name = annotations.get(_COOKIE_NAME) or _DEFAULT_COOKIE
    if not _COOKIE.fullmatch(name):
        name = _DEFAULT_COOKIE
    return Affinity(name, _whole(annotations.get(_COOKIE_TIMEOUT), _DEFAULT_COOKIE_SECONDS))


def servers_of(
    slices: Iterable[Object],
    pod_named: Callable[[str], Object | None],
    *,
    port_name: str | None = None,
) -> dict[str, PodServer]:
    """The pods behind a revision's private Service, or behind another Service.

    Args:
        slices: its EndpointSlices.
        pod_named: the Pod object of that name, for the mark that it is to drain.
        port_name: of the Service's port; None for a revision, which has one.
    """
    servers: dict[str, PodServer] = {}
    for piece in slices:
        port = _slice_port(piece, port_name)
        for endpoint in cast("list[Object]", piece.get("endpoints") or []):
            target = cast("Object", endpoint.get("targetRef") or {})
            name = str(target.get("name", ""))
            addresses = cast("list[str]", endpoint.get("addresses") or [])
            if not _NAME.fullmatch(name) or not addresses or port is None:
                continue
            address = _address(addresses[0])
            if address is None:
                continue
            pod = pod_named(name)
            ready = _is_ready(endpoint) and not (pod is not None and is_leaving(pod))
            known = servers.get(name)
            # While a pod moves between slices it may be in two: the ready one counts.
            if known is None or ready or not known.in_rotation:
                servers[name] = PodServer(name, address, port, ready)
    return servers


def is_leaving(pod: Object) -> bool:
    """Whether nothing new may go to the pod; its own object says so before its slice does."""
    return is_draining(pod) or is_deleting(pod)


def is_draining(pod: Object) -> bool:
    """Whether the autoscaler wants the pod out of rotation."""
    return annotations_of(pod).get(DRAIN) == "true"


def drained_by(pod: Object) -> frozenset[str]:
    """The gateways that have said that they have nothing in flight there."""
    return frozenset(name for name in annotations_of(pod).get(DRAINED, "").split(",") if name)


def revision_name_of_slice(piece: Object) -> str:
    """The revision whose private Service the slice belongs to, empty for other slices.

    The labels tell: they are the Service's own, copied to its slices, whereas the Service's name
    is shortened where the revision's is long.
    """
    labels = labels_of(piece)
    return labels.get(REVISION_LABEL, "") if labels.get(SERVICE_TYPE) == "Private" else ""


def _is_ready(endpoint: Object) -> bool:
    conditions = cast("dict[str, Any]", endpoint.get("conditions") or {})
    # Kubernetes: an absent `ready` means ready.
    return conditions.get("ready") is not False and not conditions.get("terminating")


def _address(value: Any) -> str | None:
    # Names are left out: HAProxy would resolve them while everything waits.
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError:
        return None


def _slice_port(piece: Object, name: str | None) -> int | None:
    ports = cast("list[Object]", piece.get("ports") or [])
    if name is not None:
        ports = [port for port in ports if (port.get("name") or "") == name]
    named = [port for port in ports if port.get("name") in ("http", "http2", "h2c", "http1")]
    for port in named or ports:
        if port.get("port"):
            return int(port["port"])
    return None


def _start_ms(spec: Object) -> int:
    """How long a pod may take to begin its answer: either limit on that."""
    whole = int(spec.get("timeoutSeconds") or 0) or _DEFAULT_TIMEOUT_SECONDS
    start = int(spec.get("responseStartTimeoutSeconds") or 0) or whole
    return min(whole, start) * 1000


def _ports(spec: Object) -> list[Object]:
    containers = cast("list[Object]", spec.get("containers") or [])
    found: list[Object] = []
    for container in containers:
        found += cast("list[Object]", container.get("ports") or [])
    return found


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default
