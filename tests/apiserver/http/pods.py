"""Pods for tests of what goes on in them."""

from __future__ import annotations

from tests.apiserver.http.face import Face

PODS = "/api/v1/namespaces/default/pods"


async def pod(face: Face, *, node: str = "tidegate") -> None:
    """A pod `p` on a node, or on none."""
    spec = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
    made = await face.http().post(PODS, json={"metadata": {"name": "p"}, "spec": spec})
    assert made.status_code == 201, made.text
