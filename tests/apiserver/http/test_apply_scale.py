"""Server-side apply of a scale: who says how many replicas there are."""

from __future__ import annotations

from typing import Any

from tests.apiserver.http.face import Face
from tests.workloads.support import deployment

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
APPLY = {"content-type": "application/apply-patch+yaml"}


def scale(replicas: int) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas},
    }


async def test_the_scale_is_applied_and_its_replicas_owned(face: Face) -> None:
    http = face.http()
    url = f"{DEPLOYMENTS}/web"
    made = deployment(replicas=0)
    created = await http.patch(f"{url}?fieldManager=one", json=made, headers=APPLY)
    assert created.status_code == 201, created.text
    refused = await http.patch(f"{url}/scale?fieldManager=two", json=scale(2), headers=APPLY)
    assert refused.status_code == 409
    assert 'conflict with "one": .spec.replicas' in refused.json()["message"]
    forced = await http.patch(
        f"{url}/scale?fieldManager=two&force=true", json=scale(2), headers=APPLY
    )
    assert (forced.json()["kind"], forced.json()["spec"]) == ("Scale", {"replicas": 2})
    stored = (await http.get(url)).json()
    assert stored["spec"]["replicas"] == 2
    owners = {m["manager"]: m for m in stored["metadata"]["managedFields"]}
    assert owners["two"]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert owners["two"]["subresource"] == "scale"
    assert "f:replicas" not in owners["one"]["fieldsV1"]["f:spec"]


async def test_what_is_no_scale_is_refused(face: Face) -> None:
    http = face.http()
    url = f"{DEPLOYMENTS}/web"
    await http.post(DEPLOYMENTS, json=deployment(replicas=0))
    body = {**scale(1), "kind": "Deployment"}
    response = await http.patch(f"{url}/scale?fieldManager=two", json=body, headers=APPLY)
    assert response.status_code == 400
