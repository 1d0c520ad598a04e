"""Section 1.1: the resources, as discovery and kubectl show them."""

from __future__ import annotations

import json

import pytest

from tests.conformance.knative import Api, good, service
from tests.e2e.platform import Platform

SERVING = "serving.knative.dev"
ALL = {"all", "knative", "serving"}

# group/version, plural: kind, short names, categories it must be in, namespaced
RESOURCES = {
    ("serving.knative.dev/v1", "services"): ("Service", {"ksvc", "kservice"}, ALL, True),
    ("serving.knative.dev/v1", "configurations"): ("Configuration", {"config", "cfg"}, ALL, True),
    ("serving.knative.dev/v1", "revisions"): ("Revision", {"rev"}, ALL, True),
    ("serving.knative.dev/v1", "routes"): ("Route", {"rt"}, ALL, True),
    ("serving.knative.dev/v1beta1", "domainmappings"): ("DomainMapping", {"dm"}, ALL, True),
    ("autoscaling.internal.knative.dev/v1alpha1", "podautoscalers"): (
        "PodAutoscaler",
        {"kpa", "pa"},
        {"knative-internal", "autoscaling"},
        True,
    ),
    ("networking.internal.knative.dev/v1alpha1", "ingresses"): (
        "Ingress",
        {"kingress", "king"},
        {"knative-internal", "networking"},
        True,
    ),
    ("networking.internal.knative.dev/v1alpha1", "clusterdomainclaims"): (
        "ClusterDomainClaim",
        {"cdc"},
        {"knative-internal", "networking"},
        False,
    ),
}
COLUMNS = {
    "ksvc": ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"],
    "cfg": ["NAME", "LATESTCREATED", "LATESTREADY", "READY", "REASON"],
    "rev": [
        "NAME",
        "CONFIG NAME",
        "GENERATION",
        "READY",
        "REASON",
        "ACTUAL REPLICAS",
        "DESIRED REPLICAS",
    ],
    "rt": ["NAME", "URL", "READY", "REASON"],
    "dm": ["NAME", "URL", "READY", "REASON"],
    "kpa": ["NAME", "DESIREDSCALE", "ACTUALSCALE", "READY", "REASON"],
    "king": ["NAME", "READY", "REASON"],
}


@pytest.fixture(scope="module", autouse=True)
def hello(api: Api) -> None:
    api.apply_ready(service("hello"))
    mapping = {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": "hello.example.org"},
        "spec": {"ref": {"kind": "Service", "name": "hello"}},
    }
    api.create("domainmappings", mapping)


@pytest.mark.parametrize(("group", "plural"), RESOURCES, ids=str)
def test_discovery(api: Api, group: str, plural: str) -> None:
    kind, short_names, categories, namespaced = RESOURCES[group, plural]
    listed = {item["name"]: item for item in good(api.http.get(f"/apis/{group}"))["resources"]}
    found = listed[plural]
    assert (found["kind"], found["namespaced"]) == (kind, namespaced)
    assert set(found["shortNames"]) == short_names
    assert set(found["categories"]) >= categories
    assert {"create", "delete", "deletecollection", "get", "list", "patch", "update"} <= set(
        found["verbs"]
    )
    if plural != "clusterdomainclaims":
        assert {"get", "patch", "update"} <= set(listed[f"{plural}/status"]["verbs"])


def test_versions_of_the_group(api: Api) -> None:
    group = good(api.http.get(f"/apis/{SERVING}"))
    assert [item["version"] for item in group["versions"]] == ["v1", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1"


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(platform: Platform, api: Api, name: str) -> None:
    table = platform.kubectl("get", name, "-n", api.namespace).stdout.splitlines()
    header = [word for word in table[0].split("  ") if word.strip()]
    assert [word.strip() for word in header] == COLUMNS[name]
    assert len(table) >= 2


@pytest.mark.parametrize(
    "name",
    [
        "ksvc",
        "kservice",
        "services.serving.knative.dev",
        "services.v1.serving.knative.dev",
        "rt",
        "routes.serving.knative.dev",
        "config",
        "cfg",
        "configurations",
        "rev",
        "revisions",
        "dm",
        "domainmappings",
        "kpa",
        "pa",
        "podautoscalers",
        "king",
        "kingress",
        "ingresses.networking.internal.knative.dev",
        "knative",
        "serving",
        "all",
    ],
)
def test_kubectl_finds_it_by(platform: Platform, api: Api, name: str) -> None:
    found = platform.kubectl("get", name, "-n", api.namespace, "-o", "name").stdout
    assert "hello" in found


def test_a_row(platform: Platform, api: Api) -> None:
    row = platform.kubectl("get", "ksvc", "hello", "-n", api.namespace, "--no-headers").stdout
    url = api.get("services", "hello")["status"]["url"]
    assert row.split() == ["hello", url, "hello-00001", "hello-00001", "True"]
    row = platform.kubectl("get", "rev", "-n", api.namespace, "--no-headers").stdout
    assert row.split()[:4] == ["hello-00001", "hello", "1", "True"]


@pytest.mark.parametrize("kind", ["services", "configurations", "routes", "revisions"])
def test_status_is_a_resource_of_its_own(api: Api, kind: str) -> None:
    name = "hello-00001" if kind == "revisions" else "hello"
    before = api.get(kind, name)
    # What comes with the object is not taken; what comes with the status is all that is.
    good(api.merge(kind, name, {"status": {"annotations": {"forged": "x"}}}))
    assert "forged" not in api.get(kind, name)["status"].get("annotations", {})
    path = f"{api.path(kind, name)}/status"
    found = good(api.http.get(path))
    assert found["spec"] == before["spec"]
    assert found["metadata"]["generation"] == before["metadata"]["generation"]


def test_wait(platform: Platform, api: Api) -> None:
    done = platform.kubectl(
        "wait", "ksvc/hello", "-n", api.namespace, "--for=condition=Ready", "--timeout=30s"
    )
    assert done.stdout == "service.serving.knative.dev/hello condition met\n"
    jsonpath = "--for=jsonpath={.status.latestReadyRevisionName}=hello-00001"
    done = platform.kubectl("wait", "ksvc/hello", "-n", api.namespace, jsonpath, "--timeout=30s")
    assert "condition met" in done.stdout


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("ksvc", "KIND:       Service"),
        ("ksvc.spec", "traffic"),
        ("ksvc.spec.template", "template"),
        ("ksvc.spec.template.spec", "containerConcurrency"),
        ("ksvc.spec.template.spec.containers", "readinessProbe"),
        ("ksvc.spec.template.spec.containers.readinessProbe.httpGet", "path"),
        ("ksvc.spec.template.spec.volumes.projected.sources", "serviceAccountToken"),
        ("ksvc.spec.traffic", "latestRevision"),
        ("ksvc.status", "latestReadyRevisionName"),
        ("rt.spec.traffic", "configurationName"),
        ("cfg.spec.template.spec.timeoutSeconds", "timeoutSeconds <integer>"),
        ("rev.status.containerStatuses", "imageDigest"),
        ("dm.spec.ref", "apiVersion"),
        ("kpa.spec", "scaleTargetRef"),
        ("kingress.spec.rules", "visibility"),
    ],
)
def test_explain(platform: Platform, path: str, words: str) -> None:
    assert words in platform.kubectl("explain", path).stdout


def test_explain_says_what_a_field_is_for(platform: Platform) -> None:
    text = platform.kubectl("explain", "ksvc.spec.template.spec", "--recursive").stdout
    for field in ("timeoutSeconds", "idleTimeoutSeconds", "initContainers", "envFrom", "emptyDir"):
        assert field in text
    said = platform.kubectl("explain", "ksvc.spec.template.spec.containerConcurrency").stdout
    assert "DESCRIPTION" in said


def test_generate_name(api: Api) -> None:
    obj = service()
    obj["metadata"] = {"generateName": "made-"}
    made = api.create("services", obj)
    assert made["metadata"]["name"].startswith("made-")
    assert len(made["metadata"]["name"]) == len("made-") + 5
    assert made["metadata"]["generation"] == 1
    api.delete("services", made["metadata"]["name"])


def test_apply_edit_and_delete_by_kubectl(platform: Platform, api: Api) -> None:
    manifest = json.dumps(service("byhand"))
    arguments = ("-n", api.namespace)
    kubectl = platform.kubectl
    assert kubectl("apply", *arguments, "-f", "-", stdin=manifest).stdout == (
        "service.serving.knative.dev/byhand created\n"
    )
    again = kubectl("apply", *arguments, "-f", "-", stdin=manifest).stdout
    # kubectl compares lists of custom kinds as wholes, and Knative fills in defaults within one.
    assert again == "service.serving.knative.dev/byhand configured\n"
    assert api.get("services", "byhand")["metadata"]["generation"] == 1
    # Nothing would change, and kubectl knows.
    assert kubectl("diff", *arguments, "-f", "-", stdin=manifest).stdout == ""
    server_side = ("--server-side", "--force-conflicts")
    for _ in range(2):
        applied = kubectl("apply", *arguments, *server_side, "-f", "-", stdin=manifest).stdout
        assert applied == "service.serving.knative.dev/byhand serverside-applied\n"
    assert api.get("services", "byhand")["metadata"]["generation"] == 1
    assert "deleted" in kubectl("delete", "ksvc", "byhand", *arguments).stdout
