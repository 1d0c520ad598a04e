"""Section 1.11: the verbs of the API specification 1.0, and how its objects come and go."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

from tests.conformance.knative import (
    JSON_PATCH,
    MERGE,
    Api,
    Obj,
    good,
    pod_spec,
    service,
)
from tests.support.waiting import wait_until

APPLY = {"Content-Type": "application/apply-patch+yaml"}


def configuration(name: str) -> Obj:
    return {**service(name), "kind": "Configuration"}


def route(name: str) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": name},
        "spec": {"traffic": [{"configurationName": "hello", "percent": 100}]},
    }


def revision(name: str) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": name},
        "spec": {"containers": [{"image": "counter"}]},
    }


MAKERS = {
    "services": service,
    "configurations": configuration,
    "routes": route,
    "revisions": revision,
}


@pytest.fixture(scope="module", autouse=True)
def hello(api: Api) -> None:
    api.apply_ready(service("hello"))


@pytest.mark.parametrize("kind", MAKERS)
def test_create_read_list_replace_patch_delete(api: Api, kind: str) -> None:
    name = f"verbs-{kind}"
    made = api.create(kind, MAKERS[kind](name))
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["uid"]
    assert api.get(kind, name)["metadata"]["uid"] == made["metadata"]["uid"]
    listing = good(api.http.get(api.path(kind)))
    assert listing["kind"] == f"{made['kind']}List"
    assert name in [item["metadata"]["name"] for item in listing["items"]]

    def replace() -> Any:
        live = api.get(kind, name)
        live["metadata"].setdefault("labels", {})["replaced"] = "yes"
        return api.put(kind, live)

    response = replace()
    while response.status_code == 409:
        response = replace()
    assert good(response)["metadata"]["labels"]["replaced"] == "yes"
    good(api.merge(kind, name, {"metadata": {"labels": {"merged": "yes"}}}))
    operations = [{"op": "add", "path": "/metadata/labels/patched", "value": "yes"}]
    url = api.path(kind, name)
    patched = good(api.http.patch(url, json=operations, headers=JSON_PATCH))
    labels = patched["metadata"]["labels"]
    assert {labels["replaced"], labels["merged"], labels["patched"]} == {"yes"}
    assert patched["metadata"]["generation"] == 1
    api.delete(kind, name)
    with contextlib.suppress(AssertionError):
        api.get(kind, name)
        pytest.fail("it is still there")


@pytest.mark.parametrize("kind", MAKERS)
def test_stale_writes_conflict(api: Api, kind: str) -> None:
    name = f"stale-{kind}"
    stale = api.create(kind, MAKERS[kind](name))
    good(api.merge(kind, name, {"metadata": {"labels": {"a": "b"}}}))
    stale["metadata"]["labels"] = {"c": "d"}
    response = api.put(kind, stale)
    assert (response.status_code, response.json()["reason"]) == (409, "Conflict")
    assert "the object has been modified" in response.json()["message"]
    api.delete(kind, name)


@pytest.mark.parametrize("kind", ["services", "configurations"])
def test_a_changed_spec_is_a_generation_and_is_observed(api: Api, kind: str) -> None:
    name = f"counted-{kind}"
    api.create(kind, MAKERS[kind](name))
    patch = {"spec": {"template": {"spec": {"timeoutSeconds": 9}}}}
    assert good(api.merge(kind, name, patch))["metadata"]["generation"] == 2
    # The same again changes nothing.
    same = good(api.merge(kind, name, patch))
    assert same["metadata"]["generation"] == 2
    found = api.wait(kind, name, lambda obj: obj.get("status", {}).get("observedGeneration") == 2)
    assert pod_spec(found)["timeoutSeconds"] == 9
    api.delete(kind, name)


@pytest.mark.parametrize("kind", MAKERS)
def test_generated_names(api: Api, kind: str) -> None:
    obj = MAKERS[kind]("x")
    obj["metadata"] = {"generateName": "some-"}
    names = {api.create(kind, copy.deepcopy(obj))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("some-") and len(name) == 10 for name in names)
    for name in names:
        api.delete(kind, name)


def test_watch_sees_a_life(api: Api) -> None:
    version = good(api.http.get(api.path("services")))["metadata"]["resourceVersion"]
    api.create("services", service("watched"))
    types: list[str] = []
    with contextlib.closing(
        api.watch("services", "watched", resourceVersion=version, allowWatchBookmarks="true")
    ) as events:
        for event in events:
            types.append(event["type"])
            obj = event["object"]
            if event["type"] == "MODIFIED" and obj["status"]["observedGeneration"] == 1:
                break
        api.delete("services", "watched")
        for event in events:
            types.append(event["type"])
            if event["type"] == "DELETED":
                break
    assert types[0] == "ADDED"
    assert types[-1] == "DELETED"
    assert set(types) <= {"ADDED", "MODIFIED", "BOOKMARK", "DELETED"}


def test_watch_by_labels(api: Api) -> None:
    api.create("services", service("labelled"))
    version = good(api.http.get(api.path("services")))["metadata"]["resourceVersion"]
    params = {
        "watch": "true",
        "labelSelector": "shown=yes",
        "resourceVersion": version,
        "timeoutSeconds": "30",
    }
    with api.http.stream("GET", api.path("services"), params=params) as response:
        lines = response.iter_lines()
        good(api.merge("services", "labelled", {"metadata": {"labels": {"shown": "yes"}}}))
        assert '"ADDED"' in next(lines)
        # What no longer matches is gone for this watcher.
        good(api.merge("services", "labelled", {"metadata": {"labels": {"shown": None}}}))
        assert any('"DELETED"' in line for line in lines)
    api.delete("services", "labelled")


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_deleting_a_service_takes_all_with_it(api: Api, policy: str) -> None:
    name = f"gone-{policy.lower()}"
    api.apply_ready(service(name))
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
    good(api.http.request("DELETE", api.path("services", name), json=options))
    selector = f"serving.knative.dev/service={name}"
    kinds = ("services", "configurations", "routes", "revisions", "podautoscalers", "deployments")
    for kind in kinds:
        wanted = f"{kind} of {name}"

        def gone(kind: str = kind) -> bool:
            if kind == "services":
                return name not in api.names(kind)
            return api.names(kind, labelSelector=selector) == []

        until(gone, wanted)
    until(lambda: name not in api.names("core-services"), "placeholder")
    until(lambda: name not in api.names("ingresses"), "ingress")


def until(holds: Any, what: str) -> None:
    try:
        wait_until(holds)
    except AssertionError as error:
        raise AssertionError(f"{what}: still there") from error


def test_delete_collection(api: Api) -> None:
    for number in range(3):
        obj = service(f"many-{number}")
        obj["metadata"]["labels"] = {"set": "many"}
        api.create("services", obj)
    good(api.http.request("DELETE", api.path("services"), params={"labelSelector": "set=many"}))
    until(lambda: api.names("services", labelSelector="set=many") == [], "the collection")
    assert "hello" in api.names("services")


def test_server_side_apply(api: Api) -> None:
    url = api.path("services", "applied")
    obj = service("applied")
    params = {"fieldManager": "me"}
    first = api.http.patch(url, json=obj, headers=APPLY, params=params)
    assert first.status_code == 201
    again = good(api.http.patch(url, json=obj, headers=APPLY, params=params))
    assert again["metadata"]["generation"] == 1
    timeout = {"template": {"spec": {"timeoutSeconds": 12}}}
    own = {**obj, "spec": timeout}
    other = api.http.patch(url, json=own, headers=APPLY, params={"fieldManager": "you"})
    assert good(other)["metadata"]["generation"] == 2
    obj["spec"]["template"]["spec"]["timeoutSeconds"] = 13
    conflict = api.http.patch(url, json=obj, headers=APPLY, params=params)
    assert conflict.status_code == 409
    assert 'conflict with "you"' in conflict.json()["message"]
    taken = good(api.http.patch(url, json=obj, headers=APPLY, params={**params, "force": "true"}))
    assert pod_spec(taken)["timeoutSeconds"] == 13
    api.delete("services", "applied")


def test_lists_come_in_pages(api: Api) -> None:
    for number in range(5):
        api.create("configurations", configuration(f"page-{number}"))
    names: list[str] = []
    params = {"limit": "2"}
    while True:
        page = good(api.http.get(api.path("configurations"), params=params))
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue")
        if not token:
            break
        params = {"limit": "2", "continue": token}
    assert [name for name in names if name.startswith("page-")] == [
        f"page-{number}" for number in range(5)
    ]
    for number in range(5):
        api.delete("configurations", f"page-{number}")


def test_a_revision_may_be_labelled_and_not_changed(api: Api) -> None:
    url = api.path("revisions", "hello-00001")
    body = {"spec": {"timeoutSeconds": 1}}
    response = api.http.patch(url, json=body, headers=MERGE)
    assert response.status_code == 400
    assert "Immutable fields changed (-old +new): spec" in response.json()["message"]


def test_all_namespaces(api: Api) -> None:
    listing = good(api.http.get("/apis/serving.knative.dev/v1/services"))
    found = {(i["metadata"]["namespace"], i["metadata"]["name"]) for i in listing["items"]}
    assert (api.namespace, "hello") in found
