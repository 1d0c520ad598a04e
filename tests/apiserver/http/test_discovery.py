"""Discovery and OpenAPI."""

from __future__ import annotations

from typing import Any

from tests.apiserver.http.face import Face
from tidegate.apiserver.http.protobuf.wire import read_fields

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def test_old_discovery(face: Face) -> None:
    http = face.http()
    assert (await http.get("/api")).json()["versions"] == ["v1"]
    core = (await http.get("/api/v1")).json()
    by_name = {entry["name"]: entry for entry in core["resources"]}
    assert by_name["pods"]["shortNames"] == ["po"]
    assert by_name["pods/status"]["verbs"] == ["get", "patch", "update"]
    groups = (await http.get("/apis")).json()["groups"]
    names = [group["name"] for group in groups]
    assert {"apps", "serving.knative.dev", "rbac.authorization.k8s.io"} <= set(names)
    apps = (await http.get("/apis/apps")).json()
    assert apps["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    deployments = (await http.get("/apis/apps/v1")).json()["resources"]
    scale = next(entry for entry in deployments if entry["name"] == "deployments/scale")
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")
    assert (await http.get("/apis/nothing")).status_code == 404
    assert "/apis/apps/v1" in (await http.get("/")).json()["paths"]


async def test_aggregated_discovery_says_the_same(face: Face) -> None:
    http = face.http()
    for path in ("/api", "/apis"):
        response = await http.get(path, headers={"accept": f"{AGGREGATED},application/json"})
        assert response.headers["content-type"] == AGGREGATED
        for group in response.json()["items"]:
            name = group["metadata"]["name"]
            for version in group["versions"]:
                root = f"/apis/{name}" if name else "/api"
                old = (await http.get(f"{root}/{version['version']}")).json()
                listed = {r["name"] for r in old["resources"]}
                found: set[str] = set()
                for resource in version["resources"]:
                    found.add(resource["resource"])
                    for sub in resource.get("subresources", ()):
                        found.add(f"{resource['resource']}/{sub['subresource']}")
                assert found == listed


async def test_what_has_not_changed_is_not_sent_again(face: Face) -> None:
    http = face.http()
    accept = {"accept": AGGREGATED}
    first = await http.get("/apis", headers=accept)
    again = await http.get("/apis", headers={**accept, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-type"] == AGGREGATED


async def test_openapi_v3_is_whole(face: Face) -> None:
    http = face.http()
    index = (await http.get("/openapi/v3")).json()["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/serving.knative.dev/v1"} <= set(index)
    for entry in index.values():
        response = await http.get(entry["serverRelativeURL"])
        assert "immutable" in response.headers["cache-control"]
        document = response.json()
        schemas = document["components"]["schemas"]
        for reference in references(document):
            assert reference.rpartition("/")[2] in schemas, reference
        assert document["openapi"].startswith("3.0")


async def test_openapi_v3_says_what_kubectl_needs(face: Face) -> None:
    http = face.http()
    index = (await http.get("/openapi/v3")).json()["paths"]
    document = (await http.get(index["apis/serving.knative.dev/v1"]["serverRelativeURL"])).json()
    path = "/apis/serving.knative.dev/v1/namespaces/{namespace}/services/{name}"
    patch = document["paths"][path]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Service"
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    kinds = [
        schema["properties"]["spec"]
        for schema in document["components"]["schemas"].values()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
        if gvk == {"group": "serving.knative.dev", "kind": "Service", "version": "v1"}
    ]
    assert len(kinds) == 1


async def test_openapi_v2_is_whole(face: Face) -> None:
    http = face.http()
    document = (await http.get("/openapi/v2")).json()
    assert document["swagger"] == "2.0"
    for reference in references(document):
        assert reference.rpartition("/")[2] in document["definitions"], reference
    assert (await http.get("/openapi/v2", headers={"accept": "text/html"})).status_code == 406
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    response = await http.get("/openapi/v2", headers={"accept": accept})
    assert response.headers["content-type"] == accept.replace("@", ".")
    fields = {number for number, _ in read_fields(response.content)}
    assert fields == {1, 2, 8, 9}
    assert (await http.get("/openapi/v3/apis/none/v1")).status_code == 404


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


async def test_older_clients_get_the_older_aggregated_form(face: Face) -> None:
    accepted = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    response = await face.http().get("/apis", headers={"accept": accepted})
    assert response.headers["content-type"] == accepted
    assert response.json()["apiVersion"] == "apidiscovery.k8s.io/v2beta1"


async def test_health_by_check_and_with_all_of_them(face: Face) -> None:
    http = face.http()
    assert (await http.get("/livez/ping")).text == "ok"
    assert (await http.get("/readyz?verbose")).text == (
        "[+]ping ok\n[+]store ok\nreadyz check passed\n"
    )
    assert (await http.get("/healthz/unheard-of")).status_code == 404
