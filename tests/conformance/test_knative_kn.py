"""What the Knative client `kn` asks of the API: its requests, waits, and the words it matches."""

from __future__ import annotations

import copy
import json
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conformance.objects import service
from tests.e2e.platform import Platform

LAST_APPLIED = "client.knative.dev/last-applied-configuration"
MERGE = {"Content-Type": "application/merge-patch+json"}
CREATE_PARAMS = {"fieldManager": "kn"}


class Kn:
    """kn's client on one namespace."""

    def __init__(self, http: httpx.Client, namespace: str) -> None:
        self.http = http
        self.namespace = namespace
        self.base = f"/apis/serving.knative.dev/v1/namespaces/{namespace}"

    def get(self, name: str, kind: str = "services") -> dict[str, Any]:
        return self._good(self.http.get(f"{self.base}/{kind}/{name}"))

    def list(self, kind: str = "services", **selectors: str) -> dict[str, Any]:
        return self._good(self.http.get(f"{self.base}/{kind}", params=selectors))

    def names(self, kind: str = "services", **selectors: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.list(kind, **selectors)["items"]]

    def create(self, obj: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"{self.base}/services", json=obj, params=CREATE_PARAMS)

    def update(self, obj: dict[str, Any]) -> httpx.Response:
        name = obj["metadata"]["name"]
        return self.http.put(f"{self.base}/services/{name}", json=obj, params=CREATE_PARAMS)

    def update_with_retry(self, name: str, change: Callable[[dict[str, Any]], None]) -> int:
        """Update until nobody came between; returns how often it took."""
        for attempt in range(1, 20):
            obj = self.get(name)
            change(obj)
            response = self.update(obj)
            if response.status_code != 409:
                self._good(response)
                return attempt
        raise AssertionError("the conflict does not end")

    def delete(self, name: str, policy: str) -> httpx.Response:
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        return self.http.request("DELETE", f"{self.base}/services/{name}", json=options)

    def events(self, name: str, version: str, *, seconds: int = 60) -> Iterator[dict[str, Any]]:
        """A watch of one service, as kn opens it."""
        params = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        with self.http.stream("GET", f"{self.base}/services", params=params) as response:
            assert response.status_code == 200
            for line in response.iter_lines():
                yield json.loads(line)

    def wait_ready(self, name: str, version: str) -> dict[str, Any]:
        """kn's wait: only a change that the controller has seen counts."""
        for event in self.events(name, version):
            obj = event["object"]
            status = obj.get("status", {})
            if event["type"] != "MODIFIED":
                continue
            if status.get("observedGeneration") != obj["metadata"]["generation"]:
                continue
            if any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"]):
                return obj
        raise AssertionError(f"{name} does not become ready: {self.get(name)}")

    @staticmethod
    def _good(response: httpx.Response) -> dict[str, Any]:
        assert response.status_code < 300, response.text
        return response.json()


@pytest.fixture
def kn(platform: Platform, namespace: str) -> Iterator[Kn]:
    pki = platform.data_dir / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    with httpx.Client(
        base_url=f"https://127.0.0.1:{platform.api_port}",
        verify=context,
        trust_env=False,
        timeout=70,
    ) as http:
        yield Kn(http, namespace)


def ready(kn: Kn, name: str = "hello") -> dict[str, Any]:
    made = kn.create(service(name, kn.namespace)).json()
    return kn.wait_ready(name, made["metadata"]["resourceVersion"])


def test_create_waits_until_the_service_is_ready(kn: Kn) -> None:
    made = kn.create(service("hello", kn.namespace))
    assert made.status_code == 201
    assert made.json()["metadata"]["generation"] == 1
    found = kn.wait_ready("hello", made.json()["metadata"]["resourceVersion"])
    assert found["status"]["latestReadyRevisionName"] == "hello-00001"
    assert found["status"]["url"].startswith(f"http://hello.{kn.namespace}.")


@pytest.mark.parametrize("kind", ["services", "revisions", "routes", "configurations"])
def test_what_is_not_there_is_not_found_in_these_words(kn: Kn, kind: str) -> None:
    response = kn.http.get(f"{kn.base}/{kind}/x")
    status = response.json()
    assert response.status_code == 404
    assert status["message"] == f'{kind}.serving.knative.dev "x" not found'
    assert status["reason"] == "NotFound"
    assert status["details"] == {"name": "x", "group": "serving.knative.dev", "kind": kind}


def test_what_is_there_already_exists_in_these_words(kn: Kn) -> None:
    kn.create(service("hello", kn.namespace))
    response = kn.create(service("hello", kn.namespace))
    assert response.status_code == 409
    assert response.json()["message"] == 'services.serving.knative.dev "hello" already exists'
    assert response.json()["reason"] == "AlreadyExists"


def test_lists_by_name_and_by_labels(kn: Kn) -> None:
    ready(kn, "hello")
    kn.create(service("other", kn.namespace))
    assert kn.names() == ["hello", "other"]
    assert kn.names(fieldSelector="metadata.name=hello") == ["hello"]
    listed = kn.list("revisions", labelSelector="serving.knative.dev/service=hello")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["hello-00001"]
    assert listed["kind"] == "RevisionList"
    labels = {"labelSelector": "serving.knative.dev/configuration=hello"}
    assert kn.names("revisions", **labels) == ["hello-00001"]
    both = {**labels, "fieldSelector": "metadata.name=hello-00001"}
    assert kn.names("revisions", **both) == ["hello-00001"]
    assert kn.names("routes", labelSelector="serving.knative.dev/service=hello") == ["hello"]


def test_update_makes_a_revision_and_waits_for_it(kn: Kn) -> None:
    before = ready(kn)
    changed = copy.deepcopy(before)
    template = changed["spec"]["template"]
    template["spec"]["containers"][0]["env"][0]["value"] = "two"
    template.setdefault("metadata", {})["annotations"] = {
        "client.knative.dev/user-image": "counter"
    }
    updated = kn.update(changed)
    assert updated.status_code == 200, updated.text
    assert updated.json()["metadata"]["generation"] == 2
    after = kn.wait_ready("hello", updated.json()["metadata"]["resourceVersion"])
    assert after["status"]["latestReadyRevisionName"] == "hello-00002"
    assert kn.get("hello-00002", "revisions")["metadata"]["annotations"][
        "client.knative.dev/user-image"
    ]


def test_a_stale_update_conflicts_and_a_retry_goes_through(kn: Kn) -> None:
    kn.create(service("hello", kn.namespace))
    stale = kn.get("hello")

    def label(name: str) -> Callable[[dict[str, Any]], None]:
        return lambda obj: obj["metadata"].setdefault("labels", {}).update({name: "x"})

    with ThreadPoolExecutor(4) as pool:
        tries = list(
            pool.map(lambda name: kn.update_with_retry("hello", label(name)), ["a", "b", "c", "d"])
        )
    assert all(tries)
    assert set(kn.get("hello")["metadata"]["labels"]) >= {"a", "b", "c", "d"}
    conflict = kn.update(stale)
    assert conflict.status_code == 409
    assert conflict.json()["reason"] == "Conflict"
    assert "the object has been modified" in conflict.json()["message"]


def test_apply_is_a_merge_patch_with_its_last_configuration(kn: Kn) -> None:
    def configuration(word: str) -> dict[str, Any]:
        return service("hello", kn.namespace, word=word)

    first = configuration("one")
    first["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(configuration("one"))}
    version = kn.create(first).json()["metadata"]["resourceVersion"]
    kn.wait_ready("hello", version)
    current = kn.get("hello")
    assert json.loads(current["metadata"]["annotations"][LAST_APPLIED]) == configuration("one")
    second = configuration("two")
    patch = {
        "metadata": {"annotations": {LAST_APPLIED: json.dumps(second)}},
        "spec": {
            "template": {"spec": {"containers": second["spec"]["template"]["spec"]["containers"]}}
        },
    }
    url = f"{kn.base}/services/hello"
    patched = kn.http.patch(url, json=patch, headers=MERGE, params=CREATE_PARAMS)
    assert patched.status_code == 200, patched.text
    after = kn.wait_ready("hello", patched.json()["metadata"]["resourceVersion"])
    assert after["status"]["latestReadyRevisionName"] == "hello-00002"
    assert json.loads(after["metadata"]["annotations"][LAST_APPLIED]) == second
    again = kn.http.patch(url, json=patch, headers=MERGE, params=CREATE_PARAMS).json()
    assert again["metadata"]["generation"] == 2
    # The annotation is of the Service alone.
    assert LAST_APPLIED not in kn.get("hello-00002", "revisions")["metadata"]["annotations"]


def test_delete_in_the_background_is_seen_by_a_watch(kn: Kn) -> None:
    version = ready(kn)["metadata"]["resourceVersion"]
    assert kn.delete("hello", "Background").status_code == 200
    types = []
    for event in kn.events("hello", version):
        types.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert types[-1] == "DELETED"
    assert kn.http.get(f"{kn.base}/services/hello").status_code == 404


def test_delete_in_the_foreground_ends_after_all_that_it_owns(kn: Kn) -> None:
    version = ready(kn)["metadata"]["resourceVersion"]
    answer = kn.delete("hello", "Foreground").json()
    assert "foregroundDeletion" in answer["metadata"]["finalizers"]
    assert any(event["type"] == "DELETED" for event in _until_deleted(kn, version))
    for kind in ("services", "configurations", "routes", "revisions"):
        assert kn.names(kind) == []


def _until_deleted(kn: Kn, version: str) -> Iterator[dict[str, Any]]:
    for event in kn.events("hello", version):
        yield event
        if event["type"] == "DELETED":
            return


def test_deleting_a_revision_with_traffic_leaves_the_service_saying_so(kn: Kn) -> None:
    ready(kn)
    gone = kn.http.delete(f"{kn.base}/revisions/hello-00001")
    assert gone.status_code == 200
    assert kn.http.delete(f"{kn.base}/revisions/nothing").status_code == 404


def test_a_watch_ends_with_its_time_and_goes_on_from_a_version(kn: Kn) -> None:
    made = kn.create(service("hello", kn.namespace)).json()
    first = next(iter(kn.events("hello", "0", seconds=5)))
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "hello")
    assert list(kn.events("absent", made["metadata"]["resourceVersion"], seconds=1)) == []
    versions = [
        int(event["object"]["metadata"]["resourceVersion"])
        for event in kn.events("hello", made["metadata"]["resourceVersion"], seconds=1)
    ]
    assert versions == sorted(versions)
    assert all(version > int(made["metadata"]["resourceVersion"]) for version in versions)


def test_traffic_and_tags_as_kn_sets_them(kn: Kn) -> None:
    ready(kn)

    def split(obj: dict[str, Any]) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "two"
        obj["spec"]["traffic"] = [
            {"revisionName": "hello-00001", "percent": 90, "tag": "old"},
            {"latestRevision": True, "percent": 10},
        ]

    kn.update_with_retry("hello", split)
    version = kn.get("hello")["metadata"]["resourceVersion"]
    kn.http.patch(
        f"{kn.base}/services/hello", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE
    )
    found = kn.wait_ready("hello", version)
    traffic = {item["revisionName"]: item for item in found["status"]["traffic"]}
    assert traffic["hello-00001"]["percent"] == 90
    assert traffic["hello-00001"]["url"].startswith("http://old-hello.")
    assert traffic["hello-00002"] == {
        "latestRevision": True,
        "percent": 10,
        "revisionName": "hello-00002",
    }


def test_import_brings_revisions_of_the_past(kn: Kn) -> None:
    """kn makes the Service with its newest template, then the older Revisions under its wing."""
    newest = service("hello", kn.namespace, word="two")
    newest["spec"]["template"]["metadata"] = {"name": "hello-00002"}
    version = kn.create(newest).json()["metadata"]["resourceVersion"]
    kn.wait_ready("hello", version)
    configuration = kn.get("hello", "configurations")
    past = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {
            "name": "hello-00001",
            "labels": {
                "serving.knative.dev/configuration": "hello",
                "serving.knative.dev/configurationGeneration": "1",
                "serving.knative.dev/routingState": "active",
                "serving.knative.dev/service": "hello",
            },
            "ownerReferences": [
                {
                    "apiVersion": "serving.knative.dev/v1",
                    "kind": "Configuration",
                    "name": "hello",
                    "uid": configuration["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": service("hello", kn.namespace)["spec"]["template"]["spec"],
    }
    made = kn.http.post(f"{kn.base}/revisions", json=past, params=CREATE_PARAMS)
    assert made.status_code == 201, made.text
    traffic = [
        {"revisionName": "hello-00001", "percent": 40},
        {"revisionName": "hello-00002", "percent": 60},
    ]
    kn.update_with_retry("hello", lambda obj: obj["spec"].update(traffic=traffic))
    found = kn.wait_ready("hello", version)
    while len(found["status"]["traffic"]) < 2:
        found = kn.wait_ready("hello", found["metadata"]["resourceVersion"])
    shares = {item["revisionName"]: item["percent"] for item in found["status"]["traffic"]}
    assert shares == {"hello-00001": 40, "hello-00002": 60}
    assert found["status"]["latestReadyRevisionName"] == "hello-00002"


def test_invalid_services_are_refused_in_knatives_words(kn: Kn) -> None:
    wrong = service("hello", kn.namespace)
    wrong["spec"]["template"]["spec"]["containerConcurrency"] = -1
    refused = kn.create(wrong)
    assert refused.status_code == 400
    assert refused.json()["reason"] == "BadRequest"
    words = 'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
    assert refused.json()["message"].startswith(
        f"{words}validation failed: expected 0 <= -1 <= 1000"
    )
