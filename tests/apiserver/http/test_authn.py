"""Accounts, tokens and rights over HTTP."""

from __future__ import annotations

import pytest

from tests.apiserver.http.face import Face
from tidegate.apiserver.authn.tokens import ISSUER
from tidegate.kube.errors import Forbidden
from tidegate.kube.resources import CLUSTER_ROLE_BINDINGS, CONFIG_MAPS, NODES, PODS

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1"


async def test_a_token_is_good_as_long_as_its_account_lives(face: Face) -> None:
    admin, account = face.http(), await face.account("a")
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    info = (await account.post(path, json={})).json()["status"]["userInfo"]
    assert info["username"] == "system:serviceaccount:default:a"
    assert "system:serviceaccounts:default" in info["groups"]
    await admin.delete(f"{ACCOUNTS}/a")
    assert (await account.post(path, json={})).status_code == 401
    await admin.post(ACCOUNTS, json={"metadata": {"name": "a"}})
    assert (await account.post(path, json={})).status_code == 401


async def test_a_token_bound_to_a_pod_ends_with_it(face: Face) -> None:
    admin = face.http()
    await admin.post(ACCOUNTS, json={"metadata": {"name": "a"}})
    pods = "/api/v1/namespaces/default/pods"
    spec = {"containers": [{"name": "c", "image": "i"}]}
    await admin.post(pods, json={"metadata": {"name": "p"}, "spec": spec})
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    response = await admin.post(f"{ACCOUNTS}/a/token", json={"spec": {"boundObjectRef": bound}})
    client = face.http(token=response.json()["status"]["token"])
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    info = (await client.post(path, json={})).json()["status"]["userInfo"]
    assert info["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    await admin.delete(f"{pods}/p", params={"gracePeriodSeconds": "0"})
    assert (await client.post(path, json={})).status_code == 401


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"expirationSeconds": 599}, 422),
        ({"expirationSeconds": 1 << 33}, 422),
        ({"boundObjectRef": {"kind": "Pod", "name": "none"}}, 404),
        ({"boundObjectRef": {"kind": "Lease", "name": "none"}}, 400),
        ({"expirationSeconds": 600, "audiences": ["x"]}, 201),
    ],
)
async def test_token_requests_are_checked(face: Face, spec: dict[str, object], code: int) -> None:
    admin = face.http()
    await admin.post(ACCOUNTS, json={"metadata": {"name": "a"}})
    response = await admin.post(f"{ACCOUNTS}/a/token", json={"spec": spec})
    assert response.status_code == code, response.text


async def test_token_reviews(face: Face) -> None:
    admin = face.http()
    await admin.post(ACCOUNTS, json={"metadata": {"name": "a"}})
    response = await admin.post(f"{ACCOUNTS}/a/token", json={"spec": {"audiences": ["x", "y"]}})
    token = response.json()["status"]["token"]
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    body = {"spec": {"token": token, "audiences": ["y", "z"]}}
    status = (await admin.post(path, json=body)).json()["status"]
    assert (status["authenticated"], status["audiences"]) == (True, ["y"])
    assert status["user"]["username"] == "system:serviceaccount:default:a"
    status = (await admin.post(path, json={"spec": {"token": token}})).json()["status"]
    assert (status["authenticated"], "audiences" in status["error"]) == (False, True)


async def test_the_keys_are_published_to_accounts(face: Face) -> None:
    account = await face.account("a")
    document = (await account.get("/.well-known/openid-configuration")).json()
    assert document["issuer"] == ISSUER
    keys = await account.get(document["jwks_uri"])
    assert keys.json()["keys"][0]["kty"] == "EC"


async def test_a_new_account_may_look_around_and_nothing_else(face: Face) -> None:
    account = await face.account("a")
    for path in ("/api", "/apis", "/version", "/openapi/v3"):
        assert (await account.get(path)).status_code == 200, path
    response = await account.get("/api/v1/namespaces/default/pods")
    assert response.status_code == 403
    assert response.json()["message"] == (
        'pods is forbidden: User "system:serviceaccount:default:a" cannot list resource "pods" '
        'in API group "" in the namespace "default"'
    )
    response = await account.get("/metrics")
    assert (response.status_code, response.json()["reason"]) == (403, "Forbidden")


async def test_rights_come_and_go_with_bindings(face: Face) -> None:
    admin, account = face.http(), await face.account("a")
    roles = f"{RBAC}/namespaces/default/roles"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    await admin.post(roles, json={"metadata": {"name": "r"}, "rules": [rule]})
    bindings = f"{RBAC}/namespaces/default/rolebindings"
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}],
    }
    assert (await admin.post(bindings, json=binding)).status_code == 201
    path = "/api/v1/namespaces/default/configmaps/x"
    assert (await account.get(path)).status_code == 404
    assert (await account.get(path.replace("default", "kube-system"))).status_code == 403
    await admin.delete(f"{bindings}/b")
    assert (await account.get(path)).status_code == 403


async def test_nobody_gives_away_more_than_they_have(face: Face) -> None:
    admin, account = face.http(), await face.account("a")
    writer = {
        "metadata": {"name": "role-writer"},
        "rules": [
            {
                "apiGroups": ["rbac.authorization.k8s.io"],
                "resources": ["clusterroles", "clusterrolebindings"],
                "verbs": ["*"],
                "resourceNames": [],
            },
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        ],
    }
    writer["rules"][0]["verbs"] = ["create", "update", "patch", "get"]
    await admin.post(f"{RBAC}/clusterroles", json=writer)
    binding = {
        "metadata": {"name": "role-writer"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "role-writer",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}],
    }
    await admin.post(f"{RBAC}/clusterrolebindings", json=binding)
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    held = {"metadata": {"name": "held"}, "rules": [pods]}
    assert (await account.post(f"{RBAC}/clusterroles", json=held)).status_code == 201
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    more = {"metadata": {"name": "more"}, "rules": [secrets]}
    response = await account.post(f"{RBAC}/clusterroles", json=more)
    assert response.status_code == 403
    assert "not currently held" in response.json()["message"]
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in response.json()["message"]
    patch = await account.patch(
        f"{RBAC}/clusterroles/held",
        json={"rules": [pods, secrets]},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert patch.status_code == 403
    binding["metadata"]["name"] = "grab"
    binding["roleRef"]["name"] = "cluster-admin"
    response = await account.post(f"{RBAC}/clusterrolebindings", json=binding)
    assert response.status_code == 403


async def test_aggregated_roles_follow_their_parts(face: Face) -> None:
    admin = face.http()
    part = {
        "metadata": {
            "name": "part",
            "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
        },
        "rules": [{"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}],
    }
    params = {"watch": "true", "fieldSelector": "metadata.name=view"}
    async with admin.stream("GET", f"{RBAC}/clusterroles", params=params) as response:
        received = response.aiter_lines()
        assert '"things"' not in await anext(received)
        await admin.post(f"{RBAC}/clusterroles", json=part)
        assert '"things"' in await anext(received)


async def test_impersonation_needs_the_right(face: Face) -> None:
    admin, account = face.http(), await face.account("a")
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    headers = {"Impersonate-User": "jane", "Impersonate-Group": "dev"}
    info = (await admin.post(path, json={}, headers=headers)).json()["status"]["userInfo"]
    assert info == {"username": "jane", "groups": ["dev", "system:authenticated"]}
    assert (await account.post(path, json={}, headers=headers)).status_code == 403
    headers = {"Impersonate-User": "tidegate-admin", "Impersonate-Group": "system:masters"}
    assert (await account.post(path, json={}, headers=headers)).status_code == 403
    headers = {
        "Impersonate-User": "jane",
        "Impersonate-Extra-Scopes": "all",
        "Impersonate-Uid": "7",
    }
    info = (await admin.post(path, json={}, headers=headers)).json()["status"]["userInfo"]
    assert (info["uid"], info["extra"]) == ("7", {"scopes": ["all"]})
    response = await admin.post(path, json={}, headers={"Impersonate-Group": "dev"})
    assert response.status_code == 400
    response = await admin.get("/api/v1/pods", headers={"Impersonate-User": "jane"})
    assert response.status_code == 403


async def test_access_reviews(face: Face) -> None:
    admin = face.http()
    attributes = {"verb": "get", "resource": "pods", "namespace": "default"}
    body = {"spec": {"user": "jane", "resourceAttributes": attributes}}
    status = (await admin.post(f"{REVIEWS}/subjectaccessreviews", json=body)).json()["status"]
    assert status == {"allowed": False}
    body["spec"]["groups"] = ["system:masters"]
    status = (await admin.post(f"{REVIEWS}/subjectaccessreviews", json=body)).json()["status"]
    assert status["allowed"] is True
    rules = await admin.post(
        f"{REVIEWS}/selfsubjectrulesreviews", json={"spec": {"namespace": "x"}}
    )
    assert rules.json()["status"]["resourceRules"][0]["verbs"] == ["*"]
    response = await admin.post(f"{REVIEWS}/selfsubjectaccessreviews", json={"spec": {}})
    assert response.status_code == 422


async def test_clients_of_the_process_have_their_own_rights_only(face: Face) -> None:
    gateway = face.server.client("system:serviceaccount:tidegate-system:gateway")
    assert (await gateway.list(PODS)).items == []
    with pytest.raises(Forbidden):
        await gateway.create(CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "default"}})
    node = face.server.client("system:node:tidegate", ["system:nodes"])
    await node.create(NODES, {"metadata": {"name": "tidegate"}})
    with pytest.raises(Forbidden):
        await node.list(CLUSTER_ROLE_BINDINGS)


async def test_a_token_for_a_pod_without_http(face: Face) -> None:
    admin = face.http()
    account = (await admin.post(ACCOUNTS, json={"metadata": {"name": "a"}})).json()
    token, expires = face.server.issue_token(
        namespace="default", name="a", uid=account["metadata"]["uid"], seconds=900
    )
    assert expires > face.server.api.clock.time() + 800
    assert (await face.http(token=token).get("/api")).status_code == 200


async def test_rules_for_one_name_allow_lists_and_watches_of_it(face: Face) -> None:
    admin, account = face.http(), await face.account("a")
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["list", "watch"],
        "resourceNames": ["mine"],
    }
    await admin.post(
        f"{RBAC}/namespaces/default/roles", json={"metadata": {"name": "r"}, "rules": [rule]}
    )
    binding = {
        "metadata": {"name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "default"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
    }
    await admin.post(f"{RBAC}/namespaces/default/rolebindings", json=binding)
    maps = "/api/v1/namespaces/default/configmaps"
    for name in ("mine", "other"):
        await admin.post(maps, json={"metadata": {"name": name}})
    listed = await account.get(maps, params={"fieldSelector": "metadata.name=mine"})
    assert [item["metadata"]["name"] for item in listed.json()["items"]] == ["mine"]
    watch = {"watch": "true", "timeoutSeconds": "1", "fieldSelector": "metadata.name=mine"}
    assert '"mine"' in (await account.get(maps, params=watch)).text
    for params in (
        {},
        {"fieldSelector": "metadata.name=other"},
        {**watch, "fieldSelector": "metadata.name!=mine"},
    ):
        refused = await account.get(maps, params=params)
        assert refused.status_code == 403, refused.text
