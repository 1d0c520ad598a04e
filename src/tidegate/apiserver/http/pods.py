"""What the subresources of a pod that lead to its node have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from tidegate.apiserver.api import Api
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.refusals import no_such_method, not_found
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.apiserver.values import section
from tidegate.kube.errors import BadRequest, ServiceUnavailable
from tidegate.kube.objects import Key, Object

Source = TypeVar("Source")

_CHANNEL_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


def pod_at(
    api: Api,
    context: RequestContext,
    spec: KindSpec,
    target: ResourcePath,
    verb: str,
    *,
    verbs: Collection[str],
) -> Object:
    """The pod whose subresource is asked for.

    Raises:
        MethodNotAllowed: the subresource has no such verb.
        Forbidden: not by this user.
        NotFound: there is no such pod.
    """
    if verb not in verbs:
        raise no_such_method()
    api.authorize(
        context,
        verb,
        spec,
        subresource=target.subresource,
        namespace=target.namespace,
        name=target.name,
    )
    pod = api.store.get(spec.bucket, Key(target.namespace, target.name))
    if pod is None:
        raise not_found(spec.resource, target.name)
    return pod.object


def pod_on_node(
    api: Api, context: RequestContext, spec: KindSpec, target: ResourcePath, verb: str
) -> Object:
    """The pod to connect to, which a node must have. Raises as `pod_at`, and BadRequest."""
    pod = pod_at(api, context, spec, target, verb, verbs=("get", "create"))
    if not section(pod, "spec").get("nodeName"):
        raise BadRequest(f"pod {target.name} does not have a host assigned")
    return pod


def attached(source: Source | None) -> Source:
    """What the node offers.

    Raises:
        ServiceUnavailable: no node has been attached yet.
    """
    if source is None:
        raise ServiceUnavailable("no node is attached to this API server", retry_after=1)
    return source


def channel_socket(what: str, socket: WebSocket | None) -> tuple[WebSocket, str]:
    """The WebSocket of a request for streams, and the protocol of channels that it will speak.

    Raises:
        BadRequest: it is no WebSocket, or speaks none of them; named after `what` is asked for.
    """
    if socket is None:
        raise BadRequest(f"{what} is served over WebSockets: upgrade the connection to one")
    protocol = next((name for name in _CHANNEL_PROTOCOLS if name in socket.offered), "")
    if not protocol:
        raise BadRequest(f"{what} speaks these subprotocols: {', '.join(_CHANNEL_PROTOCOLS)}")
    return socket, protocol


def container_named(pod: Object, asked: str) -> str:
    """The container asked for, or the pod's only one.

    Raises:
        BadRequest: there is none of that name, or several and none is named.
    """
    spec: Object = pod.get("spec") or {}
    containers = [str(c["name"]) for c in spec.get("containers") or ()]
    everyone = [str(c["name"]) for c in spec.get("initContainers") or ()] + containers
    name = pod["metadata"]["name"]
    if asked:
        if asked not in everyone:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(containers) == 1:
        return containers[0]
    raise BadRequest(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(everyone)}]"
    )
