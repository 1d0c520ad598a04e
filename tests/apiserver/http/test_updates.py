"""Updates as Kubernetes' kinds take them: with or without a version, and of what is not there."""

from __future__ import annotations

import httpx
import pytest

from tests.apiserver.http.face import Face

APPS = "/apis/apps/v1/namespaces/default/deployments"
ACCESS = "/apis/authorization.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
CORE = "/api/v1/namespaces/default"
APPLY = {"Content-Type": "application/apply-patch+yaml"}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
DEPLOYMENT = {
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "web:1"}]},
        },
    },
}


def fields(answer: httpx.Response) -> list[str]:
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid"), answer.text
    return [cause["field"] for cause in answer.json()["details"]["causes"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (LEASES, {"spec": {"holderIdentity": "a"}}),
        (f"{RBAC}/roles", {"rules": []}),
        (
            f"{RBAC}/rolebindings",
            {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}},
        ),
        (f"{CORE}/services", {"spec": {"ports": [{"port": 80}]}}),
        (f"{CORE}/endpoints", {"subsets": []}),
        (f"{CORE}/events", {"involvedObject": {"namespace": "default"}}),
    ],
)
async def test_an_update_makes_what_is_not_there_of_some_kinds(face: Face, path, body):
    http = face.http()
    made = await http.put(f"{path}/new", json=body)
    assert (made.status_code, made.json()["metadata"]["name"]) == (201, "new"), made.text
    again = await http.put(f"{path}/new", json=made.json())
    assert again.status_code == 200, again.text


async def test_an_update_of_what_is_not_there_is_refused_of_most_kinds(face: Face):
    answer = await face.http().put(f"{CORE}/configmaps/new", json={"data": {}})
    assert answer.status_code == 404


async def test_some_kinds_want_the_version_that_an_update_replaces(face: Face):
    http = face.http()
    await http.post(LEASES, json={"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})
    answer = await http.put(f"{LEASES}/l", json={"spec": {"holderIdentity": "b"}})
    assert fields(answer) == ["metadata.resourceVersion"]
    assert "must be specified for an update" in answer.json()["message"]
    config_map = {"metadata": {"name": "c"}, "data": {"a": "b"}}
    await http.post(f"{CORE}/configmaps", json=config_map)
    assert (await http.put(f"{CORE}/configmaps/c", json=config_map)).status_code == 200


async def test_what_was_applied_empty_is_not_taken_from_others(face: Face):
    http = face.http()
    await http.post(APPS, json=DEPLOYMENT)
    config = {"apiVersion": "apps/v1", "kind": "Deployment"}

    async def apply(spec: dict, manager: str) -> httpx.Response:
        query = {"fieldManager": manager}
        return await http.patch(
            f"{APPS}/web", json={**config, "spec": spec}, headers=APPLY, params=query
        )

    assert (await apply({}, "a")).status_code == 200
    filled = await apply({"minReadySeconds": 3}, "a")
    assert filled.status_code == 200, filled.text
    assert filled.json()["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"
    conflict = await apply({"minReadySeconds": 4}, "b")
    assert conflict.status_code == 409
    assert conflict.json()["message"] == (
        'Apply failed with 1 conflict: conflict with "a": .spec.minReadySeconds'
    )


@pytest.mark.parametrize("missing", ["apiVersion", "kind"])
async def test_an_apply_says_what_it_applies(face: Face, missing):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}
    del config[missing]
    answer = await face.http().patch(
        f"{CORE}/configmaps/x", json=config, headers=APPLY, params={"fieldManager": "a"}
    )
    assert answer.status_code == 400
    assert missing in answer.json()["message"]


async def test_a_scale_has_columns_of_its_own(face: Face):
    http = face.http()
    await http.post(APPS, json=DEPLOYMENT)
    table = (await http.get(f"{APPS}/web/scale", headers=TABLE)).json()
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names == ["Name", "Desired", "Available", "Age"]
    assert table["rows"][0]["cells"][:3] == ["web", 0, 0]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"user": "a"}, "spec.resourceAttributes"),
        (
            {
                "user": "a",
                "resourceAttributes": {"verb": "get"},
                "nonResourceAttributes": {"path": "/"},
            },
            "spec.nonResourceAttributes",
        ),
        ({"resourceAttributes": {"verb": "get"}}, "spec.user"),
    ],
)
async def test_a_review_that_asks_nothing_is_invalid(face: Face, spec, field):
    answer = await face.http().post(f"{ACCESS}/subjectaccessreviews", json={"spec": spec})
    assert fields(answer) == [field]
