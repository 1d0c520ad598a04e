"""Section 1.6: the names of what is generated, and of hosts."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance.knative import (
    Api,
    Obj,
    good,
    is_ready,
    service,
    with_annotations,
)
from tests.e2e.platform import Platform
from tests.support.waiting import wait_until

NAME = "shop"
TAGGED = {"latestRevision": True, "percent": 100, "tag": "now"}


@pytest.fixture(scope="module", autouse=True)
def shop(api: Api) -> Obj:
    obj = with_annotations({"autoscaling.knative.dev/min-scale": "1"}, name=NAME)
    obj["metadata"]["labels"] = {"team": "red"}
    obj["spec"]["traffic"] = [TAGGED]
    return api.apply_ready(obj)


# kind, name, kind of its owner
GENERATED = [
    ("configurations", NAME, "Service"),
    ("routes", NAME, "Service"),
    ("revisions", f"{NAME}-00001", "Configuration"),
    ("deployments", f"{NAME}-00001-deployment", "Revision"),
    ("podautoscalers", f"{NAME}-00001", "Revision"),
    ("core-services", f"{NAME}-00001", "Revision"),
    ("core-services", f"{NAME}-00001-private", "Revision"),
    ("ingresses", NAME, "Route"),
    ("core-services", NAME, "Route"),
    ("core-services", f"now-{NAME}", "Route"),
]


@pytest.mark.parametrize(("kind", "name", "owner"), GENERATED)
def test_generated(api: Api, kind: str, name: str, owner: str) -> None:
    metadata = api.get(kind, name)["metadata"]
    (reference,) = metadata["ownerReferences"]
    assert (reference["kind"], reference["controller"]) == (owner, True)
    assert reference["blockOwnerDeletion"] is True
    # Labels of the Service are not those of its template.
    assert metadata["labels"].get("team") == (
        None if owner in ("Configuration", "Revision") else "red"
    )


def test_placeholders_lead_to_the_gateway(api: Api) -> None:
    for name in (NAME, f"now-{NAME}"):
        found = api.get("core-services", name)
        labels = found["metadata"]["labels"]
        assert labels["serving.knative.dev/route"] == NAME
        assert labels["serving.knative.dev/service"] == NAME
        assert found["spec"]["type"] == "ExternalName"
        assert found["spec"]["externalName"]


def test_services_of_a_revision_lead_to_its_pods(api: Api) -> None:
    for name, kind in ((f"{NAME}-00001", "Public"), (f"{NAME}-00001-private", "Private")):
        found = api.get("core-services", name)
        labels = found["metadata"]["labels"]
        assert labels["networking.internal.knative.dev/serviceType"] == kind
        assert labels["serving.knative.dev/revision"] == f"{NAME}-00001"
        assert found["spec"]["ports"][0]["port"] == 80
        assert found["spec"]["ports"][0]["name"] == "http"


def test_revisions_count_generations(api: Api) -> None:
    api.create("services", service("counted"))
    for number in (2, 3):
        env = [{"name": "N", "value": str(number)}]
        containers = [{"image": "counter", "env": env}]
        patch = {"spec": {"template": {"spec": {"containers": containers}}}}
        good(api.merge("services", "counted", patch))
        api.wait(
            "services",
            "counted",
            lambda obj, n=number: (
                obj.get("status", {}).get("latestCreatedRevisionName") == f"counted-0000{n}"
            ),
        )
    assert api.names("revisions", labelSelector="serving.knative.dev/service=counted") == [
        "counted-00001",
        "counted-00002",
        "counted-00003",
    ]


def test_long_names_are_cut_with_a_digest(api: Api) -> None:
    name = "a" * 63
    api.create("services", service(name))
    found = api.wait(
        "services", name, lambda obj: obj.get("status", {}).get("latestCreatedRevisionName")
    )
    revision = found["status"]["latestCreatedRevisionName"]
    assert len(revision) == 63
    assert revision.startswith("a" * 25)
    assert revision.endswith("-00001")
    api.delete("services", name)


def hosts(api: Api, name: str = NAME) -> dict[str, list[str]]:
    """By visibility."""
    found: dict[str, list[str]] = {}
    for rule in api.get("ingresses", name)["spec"]["rules"]:
        found.setdefault(rule["visibility"], []).extend(rule["hosts"])
    return found


def local(name: str, namespace: str) -> list[str]:
    base = f"{name}.{namespace}"
    return [base, f"{base}.svc", f"{base}.svc.cluster.local"]


def test_hosts(api: Api) -> None:
    namespace = api.namespace
    found = hosts(api)
    assert sorted(found["ClusterLocal"]) == sorted(
        [*local(NAME, namespace), *local(f"now-{NAME}", namespace)]
    )
    assert sorted(found["ExternalIP"]) == sorted(
        [f"{NAME}.{namespace}.localhost", f"now-{NAME}.{namespace}.localhost"]
    )


def test_splits(api: Api) -> None:
    rule = api.get("ingresses", NAME)["spec"]["rules"][0]
    (path,) = rule["http"]["paths"]
    assert path["splits"] == [
        {
            "serviceNamespace": api.namespace,
            "serviceName": f"{NAME}-00001",
            "servicePort": 80,
            "percent": 100,
            "appendHeaders": {
                "Knative-Serving-Namespace": api.namespace,
                "Knative-Serving-Revision": f"{NAME}-00001",
            },
        }
    ]


def host_of(url: str) -> str:
    return url.split("//")[1]


def test_every_host_is_served(platform: Platform, api: Api) -> None:
    for found in hosts(api).values():
        for host in found:
            assert platform.request(host).json()["revision"] == f"{NAME}-00001", host
    port = platform.gateway_port
    url = api.get("services", NAME)["status"]["url"]
    assert url == f"http://{NAME}.{api.namespace}.localhost:{port}"
    assert platform.request(host_of(url)).status_code == 200
    assert platform.request(f"{NAME}.{api.namespace}.example.org").status_code == 404


def test_cluster_local_services_have_no_public_host(platform: Platform, api: Api) -> None:
    obj = service("inside")
    obj["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    made = api.apply_ready(obj)
    host = f"inside.{api.namespace}.svc.cluster.local"
    assert made["status"]["url"] == f"http://{host}"
    assert hosts(api, "inside") == {"ClusterLocal": local("inside", api.namespace)}
    assert platform.request(host).status_code == 200
    assert platform.request(f"inside.{api.namespace}.localhost").status_code == 404
    # Visibility may change while it serves.
    shown = {"metadata": {"labels": {"networking.knative.dev/visibility": None}}}
    good(api.merge("services", "inside", shown))
    url = f"http://inside.{api.namespace}.localhost:{platform.gateway_port}"
    api.wait("services", "inside", lambda obj: obj["status"]["url"] == url)
    api.ready("inside")
    assert platform.request(host_of(url)).status_code == 200


def test_one_tag_may_be_the_clusters_own(platform: Platform, api: Api) -> None:
    obj = service("partly")
    obj["spec"]["traffic"] = [{"percent": 100, "tag": "shy", "latestRevision": True}]
    api.apply_ready(obj)
    public = f"shy-partly.{api.namespace}.localhost"
    assert platform.request(public).status_code == 200

    label = "networking.knative.dev/visibility"
    for value in ("cluster-local", None):
        patch = {"metadata": {"labels": {label: value}}}
        good(api.merge("core-services", "shy-partly", patch))
        local_url = f"http://shy-partly.{api.namespace}.svc.cluster.local"
        url = local_url if value else f"http://{public}:{platform.gateway_port}"
        api.wait(
            "services",
            "partly",
            lambda seen, url=url: is_ready(seen) and seen["status"]["traffic"][0]["url"] == url,
        )
        assert platform.request(public).status_code == (404 if value else 200)
        assert platform.request(f"partly.{api.namespace}.localhost").status_code == 200


def test_the_operator_shapes_hosts(platform: Platform, api: Api) -> None:
    namespace, port = api.namespace, platform.gateway_port
    templates = {
        "domain-template": '{{.Name}}-{{.Namespace}}.{{index .Annotations "zone"}}.{{.Domain}}',
        "tag-template": "{{.Name}}-{{.Tag}}",
    }
    obj = service("shaped")
    obj["metadata"]["annotations"] = {"zone": "eu"}
    obj["spec"]["traffic"] = [TAGGED]
    with api.settings("config-network", templates):
        api.create("services", obj)
        wanted = f"http://shaped-{namespace}.eu.localhost:{port}"
        found = api.wait(
            "services", "shaped", lambda obj: obj.get("status", {}).get("url") == wanted
        )
        found = api.ready("shaped")
        tagged = found["status"]["traffic"][0]["url"]
        assert tagged == f"http://shaped-now-{namespace}.eu.localhost:{port}"
        assert platform.request(host_of(tagged)).status_code == 200
        assert "shaped-now" in api.names("core-services")
    back = f"http://shaped.{namespace}.localhost:{port}"
    api.wait("services", "shaped", lambda obj: obj["status"]["url"] == back)


def test_domains_are_chosen_by_labels(platform: Platform, api: Api) -> None:
    namespace, port = api.namespace, platform.gateway_port
    domains = {
        "red.example.org": "selector:\n  team: red\n",
        "warm.red.example.org": "selector:\n  team: red\n  temperature: warm\n",
        "example.org": "",
    }
    obj = service("warm")
    obj["metadata"]["labels"] = {"team": "red", "temperature": "warm"}
    api.create("services", obj)
    api.create("services", service("plain"))
    with api.settings("config-domain", domains):
        for name, domain in (
            ("warm", "warm.red.example.org"),
            (NAME, "red.example.org"),
            ("plain", "example.org"),
        ):
            url = f"http://{name}.{namespace}.{domain}:{port}"
            api.wait("services", name, lambda obj, u=url: obj.get("status", {}).get("url") == u)
        api.ready("plain")
        assert platform.request(f"plain.{namespace}.example.org").status_code == 200
    for name in ("warm", NAME, "plain"):
        url = f"http://{name}.{namespace}.localhost:{port}"
        api.wait("services", name, lambda obj, u=url: obj.get("status", {}).get("url") == u)


def test_a_domain_may_be_the_clusters_own(api: Api) -> None:
    local_only = {"svc.cluster.local": "selector:\n  hidden: yes-please\n"}
    obj = service("hidden")
    obj["metadata"]["labels"] = {"hidden": "yes-please"}
    with api.settings("config-domain", local_only):
        api.create("services", obj)
        wanted = f"http://hidden.{api.namespace}.svc.cluster.local"
        api.wait("services", "hidden", lambda obj: obj.get("status", {}).get("url") == wanted)
    api.delete("services", "hidden")


def test_the_scheme_is_the_operators(api: Api) -> None:
    with api.settings("config-network", {"default-external-scheme": "https"}):
        api.wait("services", NAME, lambda obj: obj["status"]["url"].startswith("https://"))
    api.wait("services", NAME, lambda obj: obj["status"]["url"].startswith("http://"))


def test_a_tag_comes_and_goes(platform: Platform, api: Api) -> None:
    host = f"soon-{NAME}.{api.namespace}.localhost"
    assert platform.request(host).status_code == 404
    traffic = [TAGGED, {"revisionName": f"{NAME}-00001", "tag": "soon"}]
    good(api.merge("services", NAME, {"spec": {"traffic": traffic}}))
    api.wait("services", NAME, lambda obj: len(obj["status"]["traffic"]) == 2)
    api.ready(NAME)
    assert platform.request(host).json()["revision"] == f"{NAME}-00001"
    good(api.merge("services", NAME, {"spec": {"traffic": [TAGGED]}}))
    api.wait("services", NAME, lambda obj: len(obj["status"]["traffic"]) == 1)
    api.ready(NAME)
    assert platform.request(host).status_code == 404
    assert f"soon-{NAME}" not in api.names("core-services")


def test_clients_find_the_gateway_by_its_service(platform: Platform, api: Api) -> None:
    """As Knative's own tests do: its address, and the Host header of the URL."""
    path = api.path("core-services", "gateway", namespace="knative-serving")

    def address() -> list[Obj]:
        found = api.http.get(path).json()
        return found.get("status", {}).get("loadBalancer", {}).get("ingress", [])

    wait_until(address)
    (ingress,) = address()
    (port,) = good(api.http.get(path))["spec"]["ports"]
    assert (ingress["ip"], port["port"]) == ("127.0.0.1", platform.gateway_port)
    answer = httpx.get(
        f"http://{ingress['ip']}:{port['port']}/",
        headers={"Host": host_of(api.get("services", NAME)["status"]["url"])},
        trust_env=False,
    )
    assert answer.json()["revision"] == f"{NAME}-00001"
    status = api.get("ingresses", NAME)["status"]
    assert status["publicLoadBalancer"]["ingress"][0]["ip"] == ingress["ip"]
    assert status["privateLoadBalancer"]["ingress"]
