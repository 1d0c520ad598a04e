"""What a Service goes through, as Knative's own suite walks it: each step's state of all parts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conformance.knative import (
    MERGE,
    Api,
    Obj,
    condition,
    container_of,
    good,
    is_ready,
    pod_spec,
    refused,
    service,
)

SERVING_GROUP = "serving.knative.dev"


def contract(name: str, **spec: Any) -> Obj:
    obj = service(name, image="contract")
    pod_spec(obj).update(spec)
    return obj


def change(api: Api, name: str, **container: Any) -> Obj:
    """Another Revision, by a change of the container; ready and latest."""
    obj = api.get("services", name)
    container_of(obj).update(container)
    return updated(api, obj)


def updated(api: Api, obj: Obj) -> Obj:
    """Replace it, and wait until it is ready as it is then."""
    wanted = good(api.put("services", obj))["metadata"]["generation"]
    return api.wait(
        "services",
        obj["metadata"]["name"],
        lambda seen: is_ready(seen) and seen["metadata"]["generation"] >= wanted,
    )


def with_traffic(api: Api, name: str, *targets: Obj) -> Obj:
    obj = api.get("services", name)
    obj["spec"]["traffic"] = list(targets)
    return updated(api, obj)


def shape(obj: Obj) -> dict[str, Obj]:
    """Traffic in the status by tag, without URLs."""
    found = obj["status"]["traffic"]
    return {
        item.get("tag", ""): {
            key: value for key, value in item.items() if key not in ("tag", "url")
        }
        for item in found
    }


def check_parts(api: Api, name: str, revision: str, generation: int) -> None:
    """All parts agree that this Revision is latest, ready and has the traffic."""
    live = api.ready(revision, "revisions")
    labels = live["metadata"]["labels"]
    assert labels[f"{SERVING_GROUP}/configurationGeneration"] == str(generation)
    assert labels[f"{SERVING_GROUP}/configuration"] == labels[f"{SERVING_GROUP}/service"] == name
    (status,) = live["status"]["containerStatuses"]
    assert re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", status["imageDigest"])
    configuration = api.ready(name, "configurations")["status"]
    assert configuration["latestCreatedRevisionName"] == revision
    assert configuration["latestReadyRevisionName"] == revision
    route = api.ready(name, "routes")["status"]
    assert [target["revisionName"] for target in route["traffic"]] == [revision]
    for kind in ("services", "routes", "configurations"):
        annotations = api.get(kind, name)["metadata"]["annotations"]
        assert annotations[f"{SERVING_GROUP}/creator"]
        assert annotations[f"{SERVING_GROUP}/lastModifier"]


def revision_that_answers(api: Api, host: str) -> str:
    answer = api.platform.request(host, headers={"Tidegate-Debug": "1"})
    return answer.headers["Tidegate-Pod"].rpartition("-deployment-")[0]


def test_created_and_updated(api: Api) -> None:
    name = "walk"
    api.apply_ready(contract(name))
    check_parts(api, name, f"{name}-00001", 1)

    change(api, name, env=[{"name": "WORD", "value": "two"}])
    check_parts(api, name, f"{name}-00002", 2)

    for number, metadata in enumerate(
        ({"labels": {"labelX": "abc"}}, {"annotations": {"annotationA": "123"}}), 3
    ):
        obj = api.get("services", name)
        obj["spec"]["template"].setdefault("metadata", {}).update(metadata)
        updated(api, obj)
        check_parts(api, name, f"{name}-0000{number}", number)
        made = api.get("revisions", f"{name}-0000{number}")["metadata"]
        for section, wanted in metadata.items():
            assert made[section].items() >= wanted.items()

    host = f"{name}.{api.namespace}.localhost"
    assert revision_that_answers(api, host) == f"{name}-00004"


def test_a_release_in_steps(api: Api) -> None:
    name = "steps"
    host = f"{name}.{api.namespace}.localhost"
    first, second, third = (f"{name}-0000{number}" for number in (1, 2, 3))
    api.apply_ready(contract(name))
    current = {"tag": "current", "revisionName": first}
    latest = {"tag": "latest", "latestRevision": True}

    # All to a named Revision, which is the latest too.
    made = with_traffic(api, name, {**current, "percent": 100}, {"tag": "latest"})
    named = {"revisionName": first, "percent": 100, "latestRevision": False}
    assert shape(made) == {
        "current": named,
        "latest": {"revisionName": first, "percent": 0, "latestRevision": True},
    }

    # A new Revision is at `latest` and gets nothing else.
    made = change(api, name, env=[{"name": "WORD", "value": "two"}])
    assert shape(made)["current"] == named
    assert shape(made)["latest"]["revisionName"] == second
    assert revision_that_answers(api, host) == first
    assert revision_that_answers(api, f"latest-{host}") == second

    # Half and half.
    candidate = {"tag": "candidate", "revisionName": second, "percent": 50}
    made = with_traffic(api, name, {**current, "percent": 50}, candidate, latest)
    half = {"percent": 50, "latestRevision": False}
    assert shape(made) == {
        "current": {"revisionName": first, **half},
        "candidate": {"revisionName": second, **half},
        "latest": {"revisionName": second, "percent": 0, "latestRevision": True},
    }
    assert {revision_that_answers(api, host) for _ in range(40)} == {first, second}

    # The candidate stays when a third comes.
    made = change(api, name, env=[{"name": "WORD", "value": "three"}])
    assert shape(made)["candidate"]["revisionName"] == second
    assert shape(made)["latest"]["revisionName"] == third
    assert [revision_that_answers(api, f"{tag}-{host}") for tag in ("current", "candidate")] == [
        first,
        second,
    ]

    # Until it is the latest, whatever that is.
    follow = {"tag": "candidate", "percent": 50, "latestRevision": True}
    made = with_traffic(api, name, {**current, "percent": 50}, follow, latest)
    assert shape(made)["candidate"] == {
        "revisionName": third,
        "percent": 50,
        "latestRevision": True,
    }
    for target in made["status"]["traffic"]:
        assert target["url"].startswith(f"http://{target['tag']}-{host}:")
    assert made["status"]["traffic"] == api.get("routes", name)["status"]["traffic"]


def test_a_name_of_ones_own(api: Api) -> None:
    obj = contract("byo")
    obj["spec"]["template"]["metadata"] = {"name": "byo-mine"}
    made = api.apply_ready(obj)
    assert made["status"]["latestReadyRevisionName"] == "byo-mine"
    check_parts(api, "byo", "byo-mine", 1)

    container_of(made)["env"] = [{"name": "WORD", "value": "two"}]
    said = refused(api.put("services", made))

    assert said.startswith("Saw the following changes without a name change")
    assert "spec.template.metadata.name" in said
    # Back to one that was there, with its own template, by name.
    made = api.get("services", "byo")
    made["spec"]["template"]["metadata"]["name"] = "byo-next"
    container_of(made)["env"] = [{"name": "WORD", "value": "two"}]
    updated(api, made)
    check_parts(api, "byo", "byo-next", 2)
    back = api.get("services", "byo")
    back["spec"]["template"]["metadata"]["name"] = "byo-mine"
    del container_of(back)["env"]
    rolled = updated(api, back)
    assert rolled["status"]["latestReadyRevisionName"] == "byo-mine"
    host = f"byo.{api.namespace}.localhost"
    assert revision_that_answers(api, host) == "byo-mine"


def test_annotations_come_and_go_with_those_of_the_service(api: Api) -> None:
    name = "notes"
    api.apply_ready(contract(name))
    for number, value in enumerate(("jamba", None), 2):
        patch = {"metadata": {"annotations": {"juicy": value}}}
        path = api.path("services", name)
        assert good(api.http.patch(path, json=patch, headers=MERGE))["metadata"]["generation"] == (
            number - 1
        )
        change(api, name, env=[{"name": "WORD", "value": str(number)}])
        for kind in ("configurations", "routes"):
            found = api.get(kind, name)["metadata"]["annotations"].get("juicy")
            assert found == value


def test_a_route_and_a_configuration_of_ones_own(api: Api) -> None:
    name = "alone"
    template = contract(name)["spec"]["template"]
    for kind, spec in (
        ("Configuration", {"template": template}),
        ("Route", {"traffic": [{"configurationName": name, "percent": 100}]}),
    ):
        body = {"apiVersion": f"{SERVING_GROUP}/v1", "kind": kind, "spec": spec}
        api.create(f"{kind.lower()}s", {**body, "metadata": {"name": name}})
    url = api.ready(name, "routes")["status"]["url"]
    assert url.startswith(f"http://{name}.{api.namespace}.localhost")
    host = url.removeprefix("http://").partition(":")[0]
    assert revision_that_answers(api, host) == f"{name}-00001"

    obj = api.get("configurations", name)
    container_of(obj)["env"] = [{"name": "WORD", "value": "two"}]
    good(api.put("configurations", obj))
    api.wait(
        "routes",
        name,
        lambda seen: (
            is_ready(seen) and seen["status"]["traffic"][0]["revisionName"] == f"{name}-00002"
        ),
    )
    assert revision_that_answers(api, host) == f"{name}-00002"
    # A Configuration without a Service belongs to nobody.
    labels = api.get("revisions", f"{name}-00002")["metadata"]["labels"]
    assert f"{SERVING_GROUP}/service" not in labels

    # It says which Routes lead to it, as long as they do.
    def routes(seen: Obj) -> str | None:
        return (seen["metadata"].get("annotations") or {}).get(f"{SERVING_GROUP}/routes")

    api.wait("configurations", name, lambda seen: routes(seen) == name)
    api.delete("routes", name)
    api.wait("configurations", name, lambda seen: routes(seen) is None)


PROBES = {
    "http": {"httpGet": {"path": "/healthz"}},
    "http-port": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    "tcp": {"tcpSocket": {}},
    "exec": {"exec": {"command": ["python3", "-c", "pass"]}},
    "headers": {"httpGet": {"path": "/", "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}},
    "seconds": {"httpGet": {"path": "/"}, "periodSeconds": 1, "timeoutSeconds": 1},
}


@pytest.mark.parametrize("kind", PROBES)
def test_readiness_is_asked_in_every_way(api: Api, kind: str) -> None:
    obj = contract(f"probe-{kind}")
    container_of(obj)["readinessProbe"] = PROBES[kind]

    assert condition(api.apply_ready(obj), "Ready")["status"] == "True"


@pytest.mark.parametrize("kind", ["http", "exec"])
def test_who_is_not_ready_gets_nothing(api: Api, kind: str) -> None:
    probes = {
        "http": {"tcpSocket": {"port": 8080}},
        "exec": {"exec": {"command": ["python3", "-c", "raise SystemExit(1)"]}},
    }
    obj = contract(f"unready-{kind}")
    container_of(obj)["readinessProbe"] = probes[kind]
    if kind == "http":
        container_of(obj)["command"] = ["python3", "-c", "import time; time.sleep(1000)"]
    obj["spec"]["template"]["metadata"] = {
        "annotations": {f"{SERVING_GROUP}/progress-deadline": "2s"}
    }
    api.create("services", obj)

    said = api.condition("services", f"unready-{kind}", "Ready", "False")

    assert said["reason"] == "RevisionFailed"
    revision = api.get("revisions", f"unready-{kind}-00001")
    assert condition(revision, "Ready")["reason"] == "ProgressDeadlineExceeded"


def test_who_does_not_live_is_started_again(api: Api) -> None:
    name = "mortal"
    obj = contract(name)
    dead = "import os, sys; sys.exit(os.path.exists(os.environ['TMPDIR'] + '/dead'))"
    container_of(obj)["livenessProbe"] = {
        "exec": {"command": ["python3", "-c", dead]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    container_of(obj)["readinessProbe"] = {"httpGet": {"path": "/"}}
    api.apply_ready(obj)
    selector = f"{SERVING_GROUP}/service={name}"
    (pod,) = api.names("pods", labelSelector=selector)
    host = f"{name}.{api.namespace}.localhost"

    mark = "write(os.environ['TMPDIR'] + '/dead')"
    assert api.platform.request(host, f"/eval?{mark}").json() == "written"

    def restarted(seen: Obj) -> bool:
        (status,) = seen["status"]["containerStatuses"]
        return status["restartCount"] > 0

    assert api.wait("pods", pod, restarted)["metadata"]["name"] == pod
