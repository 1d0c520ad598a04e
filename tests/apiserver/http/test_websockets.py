"""WebSockets that are refused, as the requests they are."""

from __future__ import annotations

import base64
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.apiserver.http.face import Face
from tests.apiserver.http.pods import PODS, pod
from tests.support.virtual_clock import settle
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.kube.waiting import beside

MAPS = "/api/v1/namespaces/default/configmaps"
V5 = "v5.channel.k8s.io"


def socket_to(face: Face, path: str, *protocols: str, certificate: bool = True) -> connect:
    """A WebSocket of the admin's, or of nobody's."""
    url = face.server.url.replace("https", "wss") + path
    offered = [Subprotocol(name) for name in protocols] or None
    return connect(url, ssl=face.tls(certificate=certificate), subprotocols=offered, proxy=None)


async def refusal(face: Face, path: str, *, certificate: bool = True, protocol: str = V5) -> dict:
    """The Status with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(face, path, *filter(None, [protocol]), certificate=certificate):
            pass
    response = refused.value.response
    status = json.loads(response.body or b"")
    assert status["code"] == response.status_code
    return status


@pytest.mark.parametrize("subresource", ["exec?command=true", "portforward"])
async def test_whoever_nobody_knows_is_unauthorized(face: Face, subresource: str) -> None:
    await pod(face)
    status = await refusal(face, f"{PODS}/p/{subresource}", certificate=False)
    assert status["code"] == 401


@pytest.mark.parametrize("subresource", ["exec?command=true", "portforward"])
async def test_a_pod_that_is_not_there_is_not_found(face: Face, subresource: str) -> None:
    status = await refusal(face, f"{PODS}/p/{subresource}")
    assert (status["code"], status["message"]) == (404, 'pods "p" not found')


async def test_a_pod_without_a_node_cannot_be_reached(face: Face) -> None:
    await pod(face, node="")
    status = await refusal(face, f"{PODS}/p/exec?command=true")
    assert "does not have a host assigned" in status["message"]


@pytest.mark.parametrize("path", ["/api", PODS, f"{PODS}/p/log", f"{PODS}/p"])
async def test_other_requests_are_no_websockets(face: Face, path: str) -> None:
    await pod(face)
    status = await refusal(face, path, protocol="")
    assert status["code"] == 400
    assert "watches, attach, exec and port-forward only" in status["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", '"ports" is required'),
        ("ports=http", "unable to parse 'http' as a port"),
        ("ports=80&ports=65536", "unable to parse '65536' as a port"),
        ("ports=" + ",".join(["80"] * 65), "at most 64 ports"),
    ],
)
async def test_the_ports_to_forward_must_be_ports(face: Face, query: str, words: str) -> None:
    await pod(face)
    face.server.attach_ports(NoPorts())
    status = await refusal(face, f"{PODS}/p/portforward?{query}", protocol="v4.channel.k8s.io")
    assert status["code"] == 400
    assert words in status["message"]


class NoPorts:
    """A node whose pods have no ports."""

    async def connect(self, namespace: str, pod: str, port: int):
        raise AssertionError(f"nobody asks for port {port} of {namespace}/{pod}")


async def test_a_command_is_required(face: Face) -> None:
    await pod(face)
    status = await refusal(face, f"{PODS}/p/exec")
    assert "at least one command" in status["message"]


async def test_a_client_is_read_no_more_while_its_messages_wait() -> None:
    read = 0

    async def receive() -> dict[str, object]:
        nonlocal read
        read += 1
        gone = read > 100_000
        return {"type": "websocket.disconnect"} if gone else {"type": "websocket.receive"}

    async def send(_message: object) -> None:
        raise AssertionError("nobody says anything")

    socket = WebSocket({"subprotocols": []}, receive, send)
    async with beside(socket.read()):
        await settle()
        assert 0 < read < 100_000
        waited = read
        for _ in range(waited):
            assert await socket.receive() == b""
        await settle()
        assert read > waited


@pytest.mark.parametrize("subresource", ["exec?command=true", "portforward"])
async def test_other_upgrades_are_refused(face: Face, subresource: str) -> None:
    await pod(face)
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    answer = await face.http().post(f"{PODS}/p/{subresource}", headers=headers)
    assert answer.status_code == 400
    assert "served over WebSockets" in answer.json()["message"]


def watching(face: Face, query: str, *, certificate: bool = True, protocols: tuple = ()):
    """A watch of ConfigMaps over a WebSocket."""
    return socket_to(face, f"{MAPS}?watch=1&{query}", *protocols, certificate=certificate)


async def config_map(face: Face, name: str) -> str:
    """Make one; returns its resourceVersion."""
    made = await face.http().post(MAPS, json={"metadata": {"name": name}})
    assert made.status_code == 201, made.text
    return made.json()["metadata"]["resourceVersion"]


async def test_a_watch_over_a_websocket_has_an_event_in_each_message(face: Face) -> None:
    version = await config_map(face, "before")
    async with watching(face, f"resourceVersion={version}") as socket:
        await config_map(face, "a")
        await config_map(face, "b")
        await face.http().delete(f"{MAPS}/a")
        events = [json.loads(await socket.recv(decode=True)) for _ in range(3)]
    seen = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_over_a_websocket_ends_when_its_time_is_over(face: Face) -> None:
    async with watching(face, "timeoutSeconds=1&resourceVersion=0") as socket:
        messages = [message async for message in socket]
    assert all(json.loads(message)["type"] == "ADDED" for message in messages)
    assert socket.close_code == 1000


async def test_a_version_that_never_was_is_gone_over_a_websocket_too(face: Face) -> None:
    async with watching(face, "resourceVersion=999999999") as socket:
        event = json.loads(await socket.recv())
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_a_watch_by_nobody_is_unauthorized(face: Face) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with watching(face, "", certificate=False):
            pass
    assert refused.value.response.status_code == 401


async def test_browsers_send_their_token_as_a_subprotocol(face: Face) -> None:
    account = await face.account("dashboard")
    token = account.headers["authorization"].removeprefix("Bearer ")
    admin = face.http()
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
    binding = {
        "metadata": {"name": "dashboard"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "dashboard", "namespace": "default"}],
    }
    version = await config_map(face, "before")
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    bearer = f"base64url.bearer.authorization.k8s.io.{encoded}"
    options = {"certificate": False, "protocols": (bearer, "base64.binary.k8s.io")}
    with pytest.raises(InvalidStatus) as refused:
        async with watching(face, "", **options):
            pass
    assert refused.value.response.status_code == 403
    made = await admin.post(rbac, json=binding)
    assert made.status_code == 201, made.text
    async with watching(face, f"resourceVersion={version}", **options) as socket:
        assert socket.subprotocol == "base64.binary.k8s.io"
        await config_map(face, "a")
        assert json.loads(await socket.recv())["object"]["metadata"]["name"] == "a"
    wrong = f"base64url.bearer.authorization.k8s.io.{encoded[:-4]}AAAA"
    with pytest.raises(InvalidStatus) as refused:
        async with watching(face, "", certificate=False, protocols=(wrong, "x")):
            pass
    assert refused.value.response.status_code == 401
