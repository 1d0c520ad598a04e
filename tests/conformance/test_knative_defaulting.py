"""Section 1.4: what Knative fills in where a user says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.knative import (
    MERGE,
    Api,
    Obj,
    container_of,
    good,
    pod_spec,
    service,
    with_spec,
)

DEFAULTS = "config-defaults"


def defaulted(api: Api, obj: Obj) -> Obj:
    return pod_spec(api.admitted("services", obj))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeoutSeconds", 300),
        ("containerConcurrency", 0),
        ("enableServiceLinks", False),
    ],
)
def test_of_a_revision(api: Api, field: str, value: object) -> None:
    assert defaulted(api, service())[field] == value


@pytest.mark.parametrize("timeout", [0, None])
def test_no_timeout_is_the_default_one(api: Api, timeout: int | None) -> None:
    assert defaulted(api, with_spec(timeoutSeconds=timeout))["timeoutSeconds"] == 300


@pytest.mark.parametrize(
    ("total", "response_start"),
    [(300, None), (301, 300), (600, 300), (100, None)],
)
def test_the_shorter_timeouts_have_defaults_only_below_the_total(
    api: Api, total: int, response_start: int | None
) -> None:
    spec = defaulted(api, with_spec(timeoutSeconds=total))
    assert spec.get("responseStartTimeoutSeconds") == response_start
    assert "idleTimeoutSeconds" not in spec


def test_given_values_stay(api: Api) -> None:
    given = {
        "timeoutSeconds": 17,
        "containerConcurrency": 3,
        "enableServiceLinks": True,
        "responseStartTimeoutSeconds": 5,
        "idleTimeoutSeconds": 6,
    }
    spec = defaulted(api, with_spec(**given))
    assert {name: spec[name] for name in given} == given


def test_of_a_container(api: Api) -> None:
    container = container_of(api.admitted("services", service()))
    assert container == {
        "name": "user-container",
        "image": "counter",
        "resources": {},
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
    }


def test_several_containers_are_numbered_and_only_the_serving_one_is_probed(api: Api) -> None:
    containers = [{"image": "counter", "ports": [{"containerPort": 9000}]}, {"image": "counter"}]
    found = defaulted(api, with_spec(containers=containers))["containers"]
    assert [container["name"] for container in found] == ["user-container-0", "user-container-1"]
    assert "readinessProbe" in found[0]
    assert "readinessProbe" not in found[1]


def test_init_containers_have_a_template_of_their_own(api: Api) -> None:
    obj = with_spec(initContainers=[{"image": "counter"}])
    flag = {"kubernetes.podspec-init-containers": "Enabled"}
    with api.settings("config-features", flag, until=lambda: accepted(api, obj)):
        (found,) = defaulted(api, obj)["initContainers"]
    assert found["name"] == "init-container"
    assert "readinessProbe" not in found


PROBES: list[tuple[Obj, Obj]] = [
    ({}, {"tcpSocket": {"port": 0}, "successThreshold": 1}),
    ({"httpGet": {"path": "/"}}, {"httpGet": {"path": "/"}, "successThreshold": 1}),
    (
        {"httpGet": {"path": "/"}, "periodSeconds": 5},
        {
            "httpGet": {"path": "/"},
            "periodSeconds": 5,
            "failureThreshold": 3,
            "successThreshold": 1,
            "timeoutSeconds": 1,
        },
    ),
    (
        {"periodSeconds": 5, "failureThreshold": 7, "timeoutSeconds": 2, "successThreshold": 4},
        {
            "tcpSocket": {"port": 0},
            "periodSeconds": 5,
            "failureThreshold": 7,
            "successThreshold": 4,
            "timeoutSeconds": 2,
        },
    ),
    ({"grpc": {"port": 8080}}, {"grpc": {"port": 8080, "service": ""}, "successThreshold": 1}),
    ({"exec": {"command": ["true"]}}, {"exec": {"command": ["true"]}, "successThreshold": 1}),
]


@pytest.mark.parametrize(("given", "expected"), PROBES)
def test_of_a_readiness_probe(api: Api, given: Obj, expected: Obj) -> None:
    found = container_of(api.admitted("services", service(readinessProbe=given)))
    assert found["readinessProbe"] == expected


@pytest.mark.parametrize("kind", ["livenessProbe", "startupProbe"])
def test_other_probes_get_a_grpc_service_and_no_more(api: Api, kind: str) -> None:
    container = container_of(api.admitted("services", service(**{kind: {"grpc": {"port": 1}}})))
    assert container[kind] == {"grpc": {"port": 1, "service": ""}}


@pytest.mark.parametrize(
    ("volume", "read_only"),
    [
        ({"secret": {"secretName": "s"}}, True),
        ({"configMap": {"name": "c"}}, True),
        ({"projected": {"sources": [{"secret": {"name": "s"}}]}}, True),
        ({"emptyDir": {}}, None),
    ],
)
def test_mounts_are_read_only_unless_the_volume_is_empty(
    api: Api, volume: Obj, read_only: bool | None
) -> None:
    obj = service(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": read_only}])
    pod_spec(obj)["volumes"] = [{"name": "v", **volume}]
    (mount,) = container_of(api.admitted("services", obj))["volumeMounts"]
    assert mount.get("readOnly") == read_only


TRAFFIC: list[tuple[Any, list[Obj]]] = [
    (None, [{"percent": 100, "latestRevision": True}]),
    ([], [{"percent": 100, "latestRevision": True}]),
    (
        [{"revisionName": "hello-1", "percent": 100}],
        [{"revisionName": "hello-1", "percent": 100, "latestRevision": False}],
    ),
    (
        [{"percent": 100}, {"revisionName": "hello-1", "tag": "old"}],
        [
            {"percent": 100, "latestRevision": True},
            {"revisionName": "hello-1", "tag": "old", "percent": 0, "latestRevision": False},
        ],
    ),
]


@pytest.mark.parametrize(("given", "expected"), TRAFFIC)
def test_of_traffic(api: Api, given: Any, expected: list[Obj]) -> None:
    obj = service()
    obj["spec"]["traffic"] = given
    assert api.admitted("services", obj)["spec"]["traffic"] == expected


def test_a_route_alone_has_no_default_target(api: Api) -> None:
    route = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "alone"},
        "spec": {},
    }
    assert api.refusal("routes", route) == "Traffic targets sum to 0, want 100: spec.traffic"


def test_a_configuration_has_the_same_defaults(api: Api) -> None:
    obj = {**service(), "kind": "Configuration"}
    spec = defaulted_configuration(api, obj)
    assert spec == defaulted(api, service())


def defaulted_configuration(api: Api, obj: Obj) -> Obj:
    return pod_spec(api.admitted("configurations", obj))


CLUSTER_DEFAULTS: list[tuple[dict[str, str], str, object]] = [
    ({"revision-timeout-seconds": "120"}, "timeoutSeconds", 120),
    ({"revision-response-start-timeout-seconds": "17"}, "responseStartTimeoutSeconds", 17),
    ({"revision-idle-timeout-seconds": "23"}, "idleTimeoutSeconds", 23),
    ({"container-concurrency": "7"}, "containerConcurrency", 7),
    ({"enable-service-links": "true"}, "enableServiceLinks", True),
]


@pytest.mark.parametrize(("data", "field", "value"), CLUSTER_DEFAULTS)
def test_the_operator_sets_defaults(
    api: Api, data: dict[str, str], field: str, value: object
) -> None:
    def in_force() -> bool:
        return defaulted(api, service()).get(field) == value

    with api.settings(DEFAULTS, data, until=in_force):
        assert in_force()


@pytest.mark.parametrize("section", ["requests", "limits"])
@pytest.mark.parametrize(
    ("name", "value"), [("cpu", "400m"), ("memory", "100M"), ("ephemeral-storage", "500M")]
)
def test_the_operator_sets_resources(api: Api, section: str, name: str, value: str) -> None:
    def in_force() -> bool:
        found = container_of(api.admitted("services", service()))["resources"]
        return found == {section: {name: value}}

    with api.settings(DEFAULTS, {f"revision-{name}-{section[:-1]}": value}, until=in_force):
        own = service(resources={section: {name: "1"}})
        found = container_of(api.admitted("services", own))["resources"]
        assert found == {section: {name: "1"}}


def test_the_operator_names_containers(api: Api) -> None:
    def in_force() -> bool:
        return container_of(api.admitted("services", service()))["name"] == "run-hello"

    with api.settings(DEFAULTS, {"container-name-template": "run-{{.Name}}"}, until=in_force):
        own = with_spec(containers=[{"image": "counter", "name": "mine"}])
        assert container_of(api.admitted("services", own))["name"] == "mine"


def test_the_author_is_noted_and_cannot_be_forged(api: Api) -> None:
    forged = service("authored")
    forged["metadata"]["annotations"] = {
        "serving.knative.dev/creator": "mallory",
        "serving.knative.dev/lastModifier": "mallory",
    }
    made = api.create("services", forged)
    authors = {
        "serving.knative.dev/creator": "tidegate-admin",
        "serving.knative.dev/lastModifier": "tidegate-admin",
    }
    assert made["metadata"]["annotations"] == authors
    for name in ("creator", "lastModifier"):
        patch = {"metadata": {"annotations": {f"serving.knative.dev/{name}": "mallory"}}}
        response = api.merge("services", "authored", patch)
        assert response.status_code == 400, response.text
        assert f"metadata.annotations.serving.knative.dev/{name}" in response.json()["message"]
    # Whoever leaves them out leaves them as they are.
    updated = api.put_latest("services", {**made, "metadata": {"name": "authored"}})
    assert updated["metadata"]["annotations"] == authors


def test_new_cluster_defaults_leave_a_named_template_alone(api: Api) -> None:
    obj = service("named")
    obj["spec"]["template"]["metadata"] = {"name": "named-one"}
    api.create("services", obj)

    def in_force() -> bool:
        return defaulted(api, service())["timeoutSeconds"] == 99

    with api.settings(DEFAULTS, {"revision-timeout-seconds": "99"}, until=in_force):
        labelled = good(
            api.http.patch(
                api.path("services", "named"),
                json={"metadata": {"labels": {"a": "b"}}},
                headers=MERGE,
            )
        )
    assert pod_spec(labelled)["timeoutSeconds"] == 300
    assert labelled["metadata"]["generation"] == 1


def accepted(api: Api, obj: Obj) -> bool:
    return api.dry("services", obj).status_code == 201
