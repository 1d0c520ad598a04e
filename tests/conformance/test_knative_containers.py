"""Several containers in one Revision, and those that come before them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.knative import Api, Obj, condition, good, pod_spec, service
from tests.support.waiting import wait_until

FEATURES = "config-features"
PORT: Obj = {"containerPort": 8080}


def with_neighbour(name: str, neighbour: Obj, **main: Any) -> Obj:
    """One pod that stays, with a program that can be asked and a neighbour on port 8882."""
    obj = service(name, image="contract", ports=[PORT], **main)
    obj["spec"]["template"]["metadata"] = {
        "annotations": {"autoscaling.knative.dev/min-scale": "1"}
    }
    told = {"name": "PORT", "value": "8882"}
    side = {"name": "side", "image": "talker", **neighbour}
    side["env"] = [told, *side.get("env", [])]
    pod_spec(obj)["containers"].append(side)
    return obj


def ask(api: Api, name: str, expression: str) -> Any:
    """The value of a Python expression in the first container."""
    host = f"{name}.{api.namespace}.localhost"
    answer = api.platform.request(host, f"/eval?{urllib.parse.quote(expression)}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def pods(api: Api, name: str) -> list[Obj]:
    selector = {"labelSelector": f"serving.knative.dev/service={name}"}
    return good(api.http.get(api.path("pods"), params=selector))["items"]


@pytest.fixture(scope="module", autouse=True)
def features(api: Api) -> Iterator[None]:
    flags = ("multi-container-probing", "kubernetes.podspec-init-containers")
    probe = with_neighbour("flagged", {"readinessProbe": {"tcpSocket": {"port": 8882}}})
    pod_spec(probe)["initContainers"] = [{"image": "contract"}]
    data = dict.fromkeys(flags, "Enabled")
    with api.settings(FEATURES, data, until=lambda: api.dry("services", probe).status_code == 201):
        yield


def test_a_neighbour_listens_where_it_is_told_and_is_reached(api: Api) -> None:
    api.apply_ready(with_neighbour("pair", {}))
    request = "__import__('urllib.request').request.urlopen"
    url = "'http://127.0.0.1:' + os.environ['PORT_8882'] + '/who'"
    assert ask(api, "pair", f"{request}({url}).status") == 200
    assert ask(api, "pair", "os.environ['PORT'] != os.environ['PORT_8882']") is True
    revision = api.get("revisions", "pair-00001")
    digests = {c["name"]: c["imageDigest"] for c in revision["status"]["containerStatuses"]}
    assert digests["user-container-0"].startswith("contract@sha256:")
    assert digests["side"].startswith("talker@sha256:")
    (pod,) = pods(api, "pair")
    assert [c["ready"] for c in pod["status"]["containerStatuses"]] == [True, True]


def test_two_containers_may_have_the_same_image(api: Api) -> None:
    obj = service("twins", ports=[PORT])
    pod_spec(obj)["containers"].append({"name": "side", "image": "counter"})
    api.apply_ready(obj)
    (pod,) = pods(api, "twins")
    assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0, 0]


def test_pods_of_one_revision_have_neighbours_of_their_own(api: Api) -> None:
    obj = with_neighbour("many", {})
    annotations = obj["spec"]["template"]["metadata"]["annotations"]
    annotations["autoscaling.knative.dev/min-scale"] = "3"
    api.apply_ready(obj)
    found = [pod["metadata"]["annotations"]["tidegate.dev/ports"] for pod in pods(api, "many")]
    assert len(set(found)) == 3
    for pod in pods(api, "many"):
        assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0, 0]


def test_a_pod_is_ready_with_the_last_of_its_containers(api: Api) -> None:
    """The neighbour's probe counts, on the neighbour's own port."""
    probe = {"httpGet": {"path": "/ready", "port": 8882}, "periodSeconds": 1}
    api.apply_ready(with_neighbour("probed", {"readinessProbe": probe}))
    request = "__import__('urllib.request').request.urlopen"
    url = "'http://127.0.0.1:' + os.environ['PORT_8882'] + '/unready'"
    assert ask(api, "probed", f"{request}({url}).status") == 200

    def is_out() -> bool:
        (pod,) = pods(api, "probed")
        return condition(pod, "Ready")["status"] == "False"

    wait_until(is_out)


def test_a_neighbour_that_fails_fails_the_revision(api: Api) -> None:
    broken = with_neighbour("broken", {"command": ["sh", "-c", "exit 9"]})
    api.create("services", broken)
    found = api.condition("revisions", "broken-00001", "Ready", "False")
    assert found["reason"] == "ExitCode9"


def test_init_containers_come_first(api: Api) -> None:
    shared = [{"name": "v", "mountPath": "/shared"}]
    obj = with_neighbour("first", {}, volumeMounts=shared)
    pod_spec(obj)["volumes"] = [{"name": "v", "emptyDir": {}}]
    pod_spec(obj)["initContainers"] = [
        {
            "image": "contract",
            "command": ["sh", "-c", "echo $K_REVISION > /shared/word"],
            "volumeMounts": shared,
        }
    ]
    api.apply_ready(obj)
    assert ask(api, "first", "read('/shared/word')").strip() == "first-00001"
    status = api.get("revisions", "first-00001")["status"]
    (init,) = status["initContainerStatuses"]
    assert init["name"] == "init-container"
    assert init["imageDigest"].startswith("contract@sha256:")


def test_an_init_container_that_fails_fails_the_revision(api: Api) -> None:
    obj = service("stuck")
    pod_spec(obj)["initContainers"] = [{"image": "contract", "command": ["sh", "-c", "exit 4"]}]
    api.create("services", obj)
    found = api.condition("services", "stuck", "Ready", "False", "RevisionFailed")
    assert "Container failed with: " in found["message"]
    assert api.condition("revisions", "stuck-00001", "Ready", "False")["reason"] == "ExitCode4"
