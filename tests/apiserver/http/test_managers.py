"""Who owns the fields of an object that nobody has applied: those who created and changed it."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.apiserver.http.face import Face
from tests.workloads.support import deployment
from tidegate.kube.resources import DEPLOYMENTS as RESOURCE

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}


def owners(obj: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    entries = obj["metadata"]["managedFields"]
    assert {entry["operation"] for entry in entries} <= {"Update", "Apply"}
    return {(e["manager"], e.get("subresource", "")): e["fieldsV1"] for e in entries}


async def create(http: httpx.AsyncClient) -> str:
    made = await http.post(f"{DEPLOYMENTS}?fieldManager=maker", json=deployment(replicas=0))
    assert made.status_code == 201, made.text
    return f"{DEPLOYMENTS}/web"


async def test_who_creates_owns_all_and_who_changes_what_he_changed(face: Face) -> None:
    http = face.http()
    url = await create(http)
    seen = owners((await http.get(url)).json())
    assert list(seen) == [("maker", "")]
    fields = seen["maker", ""]
    assert "f:status" not in fields
    assert fields["f:spec"]["f:replicas"] == {}
    template = fields["f:spec"]["f:template"]["f:spec"]
    assert template["f:containers"]['k:{"name":"app"}']["f:image"] == {}

    await http.patch(
        f"{url}?fieldManager=other",
        json={"spec": {"replicas": 1}, "metadata": {"labels": {"a": "b"}}},
        headers=MERGE,
    )
    status = {"status": {"replicas": 1}}
    await http.patch(f"{url}/status?fieldManager=reporter", json=status, headers=MERGE)
    seen = owners((await http.get(url)).json())
    assert seen["other", ""] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:replicas": {}},
    }
    assert seen["reporter", "status"]["f:status"]["f:replicas"] == {}
    assert "f:replicas" not in seen["maker", ""]["f:spec"]
    assert "f:status" not in seen["maker", ""]


async def test_an_apply_conflicts_with_who_wrote_the_field(face: Face) -> None:
    http = face.http()
    url = await create(http)
    await http.patch(f"{url}?fieldManager=other", json={"spec": {"replicas": 1}}, headers=MERGE)
    wanted = deployment(replicas=2)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "another:1"
    refused = await http.patch(f"{url}?fieldManager=third", json=wanted, headers=APPLY)
    assert refused.status_code == 409
    causes = {c["field"]: c["message"] for c in refused.json()["details"]["causes"]}
    assert causes == {
        ".spec.replicas": 'conflict with "other" using apps/v1',
        '.spec.template.spec.containers[name="app"].image': 'conflict with "maker" using apps/v1',
    }
    forced = await http.patch(f"{url}?fieldManager=third&force=true", json=wanted, headers=APPLY)
    assert forced.status_code == 200
    seen = owners((await http.get(url)).json())
    assert ("other", "") not in seen
    assert "f:replicas" in seen["third", ""]["f:spec"]
    assert "f:strategy" in seen["maker", ""]["f:spec"]


async def test_who_takes_a_field_back_owns_it_again(face: Face) -> None:
    http = face.http()
    url = await create(http)
    for manager, replicas in (("other", 1), ("maker", 0)):
        patch = {"spec": {"replicas": replicas}}
        await http.patch(f"{url}?fieldManager={manager}", json=patch, headers=MERGE)
    seen = owners((await http.get(url)).json())
    assert list(seen) == [("maker", "")]
    assert seen["maker", ""]["f:spec"]["f:replicas"] == {}


async def test_an_object_that_is_read_and_written_keeps_its_record(face: Face) -> None:
    http = face.http()
    url = await create(http)
    read = (await http.get(url)).json()
    same = await http.put(f"{url}?fieldManager=other", json=read)
    assert same.json()["metadata"]["resourceVersion"] == read["metadata"]["resourceVersion"]
    read["spec"]["replicas"] = 1
    read["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "s:1"})
    assert (await http.put(f"{url}?fieldManager=other", json=read)).status_code == 200
    seen = owners((await http.get(url)).json())
    side = seen["other", ""]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert side['k:{"name":"side"}']["f:image"] == {}
    assert "f:replicas" in seen["other", ""]["f:spec"]
    assert '"k:{\\"name\\":\\"side\\"}"' not in json.dumps(seen["maker", ""])


async def test_our_own_controllers_take_over_what_they_change(face: Face) -> None:
    http = face.http()
    url = await create(http)
    client = face.server.client("system:tidegate", ("system:masters",))
    await client.patch(RESOURCE, "web", {"spec": {"replicas": 3}}, namespace="default")
    refused = await http.patch(
        f"{url}?fieldManager=third", json=deployment(replicas=2), headers=APPLY
    )
    assert 'conflict with "tidegate" using apps/v1: .spec.replicas' in refused.json()["message"]


async def test_every_write_answers_what_a_read_shows(face: Face) -> None:
    http = face.http()
    url = f"{DEPLOYMENTS}/web"
    status = {"status": {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]}}
    scaled = {"spec": {"replicas": 1}}
    changed = deployment(replicas=2)
    changed["metadata"]["labels"] = {"x": "y"}
    applied = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": {}}}
    for write in (
        http.post(f"{DEPLOYMENTS}?fieldManager=maker", json=deployment(replicas=0)),
        http.patch(f"{url}?fieldManager=other", json=scaled, headers=MERGE),
        http.patch(f"{url}/status?fieldManager=reporter", json=status, headers=MERGE),
        http.patch(f"{url}?fieldManager=other", json=scaled, headers=MERGE),
        http.put(f"{url}?fieldManager=third", json=changed),
        http.patch(f"{url}?fieldManager=applier", json=applied, headers=APPLY),
    ):
        answer = await write
        assert answer.is_success, answer.text
        assert answer.content == (await http.get(url)).content
        assert all(fields for fields in owners(answer.json()).values())


async def test_kubectl_shows_the_managers(face: Face) -> None:
    await face.ok("create", "configmap", "c", "--from-literal=a=1")
    await face.ok("label", "configmap", "c", "x=y")
    shown = json.loads(await face.ok("get", "cm", "c", "-o", "json", "--show-managed-fields"))
    seen = owners(shown)
    assert seen["kubectl-create", ""] == {"f:data": {"f:a": {}}}
    assert seen["kubectl-label", ""] == {"f:metadata": {"f:labels": {"f:x": {}}}}
    assert "managedFields" not in await face.ok("get", "cm", "c", "-o", "json")
