"""WebSockets that are refused, as the requests they are."""

from __future__ import annotations

import json
import ssl

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.apiserver.http.conftest import Face

PODS = "/api/v1/namespaces/default/pods"
V5 = "v5.channel.k8s.io"


async def refusal(face: Face, path: str, *, certificate: bool = True, protocol: str = V5) -> dict:
    """The Status with which a handshake is refused."""
    pki = face.directory / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    if certificate:
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    url = face.server.url.replace("https", "wss") + path
    protocols = [Subprotocol(protocol)] if protocol else None
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, ssl=context, subprotocols=protocols, proxy=None):
            pass
    response = refused.value.response
    status = json.loads(response.body or b"")
    assert status["code"] == response.status_code
    return status


async def pod(face: Face, *, node: str = "tidegate") -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
    made = await face.http().post(PODS, json={"metadata": {"name": "p"}, "spec": spec})
    assert made.status_code == 201, made.text


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
async def test_only_exec_and_port_forward_are_websockets(face: Face, path: str) -> None:
    await pod(face)
    status = await refusal(face, path, protocol="")
    assert status["code"] == 400
    assert "exec and port-forward only" in status["message"]


async def test_a_command_is_required(face: Face) -> None:
    await pod(face)
    status = await refusal(face, f"{PODS}/p/exec")
    assert "at least one command" in status["message"]


@pytest.mark.parametrize("subresource", ["exec?command=true", "portforward"])
async def test_other_upgrades_are_refused(face: Face, subresource: str) -> None:
    await pod(face)
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    answer = await face.http().post(f"{PODS}/p/{subresource}", headers=headers)
    assert answer.status_code == 400
    assert "served over WebSockets" in answer.json()["message"]
