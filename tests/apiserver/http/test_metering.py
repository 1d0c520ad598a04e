"""The API's own figures."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.apiserver.http.face import Face

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


async def samples(face: Face) -> dict[tuple[str, ...], float]:
    """The values by name and labels: verb, subresource, scope and code, or the kind of request."""
    response = await face.http().get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (
            sample.name,
            *(
                sample.labels[name]
                for name in ("resource", "verb", "subresource", "scope", "code", "request_kind")
                if sample.labels.get(name)
            ),
        ): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_requests_are_counted_and_timed(face: Face) -> None:
    http = face.http()
    for name in ("a", "b"):
        await http.post(CONFIG_MAPS, json={"metadata": {"name": name}})
    await http.get(f"{CONFIG_MAPS}/a")
    await http.get(f"{CONFIG_MAPS}/none")
    await http.get(f"{CONFIG_MAPS}/a/nonsense")
    await http.get(CONFIG_MAPS, params={"watch": "1", "timeoutSeconds": "1"})
    apply = {"content-type": "application/apply-patch+yaml"}
    content = b'{"apiVersion":"v1","kind":"ConfigMap"}'
    params = {"fieldManager": "me"}
    await http.patch(f"{CONFIG_MAPS}/a", content=content, headers=apply, params=params)
    known = await samples(face)
    total, resource = "apiserver_request_total", "configmaps"
    assert known[total, resource, "POST", "resource", "201"] == 2
    assert known[total, resource, "GET", "resource", "200"] == 1
    assert known[total, resource, "GET", "resource", "404"] == 2
    assert known[total, resource, "WATCH", "namespace", "200"] == 1
    assert known[total, resource, "APPLY", "resource", "200"] == 1
    seconds = "apiserver_request_duration_seconds"
    assert known[f"{seconds}_count", resource, "POST", "resource"] == 2
    assert known[f"{seconds}_sum", resource, "WATCH", "namespace"] >= 1
    inflight = "apiserver_current_inflight_requests"
    assert (known[inflight, "mutating"], known[inflight, "readOnly"]) == (0, 0)


async def test_figures_are_for_who_may_read_them(face: Face) -> None:
    account = await face.account("scraper")
    assert (await account.get("/metrics")).status_code == 403
    binding = {
        "metadata": {"name": "scraper"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:monitoring",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": "default"}],
    }
    assert (await face.http().post(BINDINGS, json=binding)).status_code == 201
    assert (await account.get("/metrics")).status_code == 200
