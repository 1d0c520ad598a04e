"""What KIngresses lead to: Revisions, and plain Services of Kubernetes.

Both have a slot. A Service is shown to the rest of the gateway as a Revision without limits, with
the port's name as its container's; its key is the Service's, with the port unless that is 80.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.apis.serving import REVISIONS
from tidegate.gateway import reading
from tidegate.gateway.model import PodServer
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Key, Object, is_deleting, labels_of, namespace_of
from tidegate.kube.resources import ENDPOINT_SLICES, PODS, SERVICES

_BY_REVISION = "gateway-revision"
_BY_SERVICE = "gateway-service"
_SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_PORT = "80"
_H2 = ("h2c", "http2", "kubernetes.io/h2c")
# KIngresses of the network's own make have no time limit; a day is as long as a tunnel may last.
_SECONDS = 86_400

Changed = Callable[[Key, bool], None]


def target_key(namespace: str, name: str, port: object) -> Key:
    """The key of what a split leads to; `port` is a number or a name."""
    text = str(port or _PORT)
    return Key(namespace, name if text == _PORT else f"{name}:{text}")


class Targets:
    """Finds what there is by key.

    Args:
        context: informers of the gateway's identity.
        changed: called with the key of a Revision or Service (without port) of which something
            has changed, and whether it has come or gone.
    """

    def __init__(self, context: Context, changed: Changed) -> None:
        self._changed = changed
        self._revisions = context.informers.of(REVISIONS)
        self._services = context.informers.of(SERVICES)
        self._slices = context.informers.of(ENDPOINT_SLICES)
        self._pods = context.informers.of(PODS, label_selector=reading.REVISION_LABEL)
        self._slices.add_index(_BY_REVISION, _revision_index)
        self._slices.add_index(_BY_SERVICE, _service_index)
        self._revisions.add_handler(self._whole)
        self._services.add_handler(self._service)
        self._slices.add_handler(self._slice)
        self._pods.add_handler(self._pod)

    @property
    def informers(self) -> list[Informer]:
        """To be synced before anything is believed."""
        return [self._revisions, self._services, self._slices, self._pods]

    def get(self, key: Key) -> Object | None:
        """The Revision, or the Service in its shape; None if there is neither."""
        revision = self._revisions.get(key.name, key.namespace)
        if revision is not None:
            return None if is_deleting(revision) else revision
        port = self._service_port(key)
        if port is None:
            return None
        protocol = str(port.get("appProtocol") or port.get("name") or "")
        container = {"ports": [{"name": "h2c" if protocol.startswith(_H2) else ""}]}
        return {
            "metadata": {"namespace": key.namespace, "name": key.name},
            "spec": {"timeoutSeconds": _SECONDS, "containers": [container]},
        }

    def is_alias(self, key: Key) -> bool:
        """Whether the key is of a Service that is only another name of a host."""
        service = self._services.get(base_of(key).name, key.namespace)
        return service is not None and _is_external(service)

    def servers(self, key: Key) -> dict[str, PodServer]:
        """The pods, by name."""
        pieces = self._slices.by_index(_BY_REVISION, str(key))
        port = None
        if not pieces:
            port = self._service_port(key)
            if port is not None:
                pieces = self._slices.by_index(_BY_SERVICE, str(base_of(key)))
        return reading.servers_of(
            pieces,
            lambda name: self._pods.get(name, key.namespace),
            port_name=None if port is None else str(port.get("name") or ""),
        )

    def _service_port(self, key: Key) -> Object | None:
        name, _, wanted = key.name.partition(":")
        service = self._services.get(name, key.namespace)
        if service is None or is_deleting(service) or _is_external(service):
            return None
        if reading.REVISION_LABEL in labels_of(service):
            return None
        ports: list[Object] = service["spec"].get("ports") or []
        fits = (port for port in ports if wanted in (str(port["port"]), port.get("name")))
        if wanted:
            return next(fits, None)
        return next((port for port in ports if str(port["port"]) == _PORT), None)

    def _whole(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None:
            key = Key(namespace_of(obj), obj["metadata"]["name"])
            self._changed(key, old is None or new is None)

    def _service(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None and reading.REVISION_LABEL not in labels_of(obj):
            # Another type or other ports: its KIngresses are read again.
            self._changed(Key(namespace_of(obj), obj["metadata"]["name"]), True)

    def _slice(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is None:
                continue
            name = reading.revision_name_of_slice(obj) or _service_name(obj)
            if name:
                self._changed(Key(namespace_of(obj), name), False)

    def _pod(self, old: Object | None, new: Object | None) -> None:
        was = old is not None and reading.is_leaving(old)
        now = new is not None and reading.is_leaving(new)
        obj = new if new is not None else old
        if obj is not None and was != now:
            name = labels_of(obj)[reading.REVISION_LABEL]
            self._changed(Key(namespace_of(obj), name), False)


def base_of(key: Key) -> Key:
    """The key without its port."""
    return Key(key.namespace, key.name.partition(":")[0])


def _is_external(service: Object) -> bool:
    return bool(service["spec"].get("type") == "ExternalName")


def _revision_index(piece: Object) -> list[str]:
    name = reading.revision_name_of_slice(piece)
    return [str(Key(namespace_of(piece), name))] if name else []


def _service_index(piece: Object) -> list[str]:
    name = _service_name(piece)
    return [str(Key(namespace_of(piece), name))] if name else []


def _service_name(piece: Object) -> str:
    """Of a Service that is no Revision's."""
    labels = labels_of(piece)
    return "" if reading.REVISION_LABEL in labels else labels.get(_SERVICE_NAME_LABEL, "")
