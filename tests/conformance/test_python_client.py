"""The official Python client."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import portforward, stream

from tests.conformance.objects import definition, service
from tests.e2e.platform import Platform

# The client leaves the sockets of its streams to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KNATIVE = ("serving.knative.dev", "v1")
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@pytest.fixture
def connected(kubeconfig: Path) -> Iterator[Any]:
    client = kubernetes.config.new_client_from_config(str(kubeconfig))
    yield client
    client.close()


@pytest.fixture
def core(connected: Any) -> Any:
    return kubernetes.client.CoreV1Api(connected)


@pytest.fixture
def custom(connected: Any) -> Any:
    return kubernetes.client.CustomObjectsApi(connected)


def test_core_objects(core: Any, namespace: str) -> None:
    metadata = kubernetes.client.V1ObjectMeta(generate_name="c-", labels={"a": "b"})
    body = kubernetes.client.V1ConfigMap(metadata=metadata, data={"x": "1"})
    made = core.create_namespaced_config_map(namespace, body)
    name = made.metadata.name
    assert name.startswith("c-")
    assert core.read_namespaced_config_map(name, namespace).data == {"x": "1"}
    made.data = {"x": "2"}
    assert core.replace_namespaced_config_map(name, namespace, made).data == {"x": "2"}
    with pytest.raises(ApiException) as refusal:
        core.replace_namespaced_config_map(name, namespace, made)
    assert refusal.value.status == 409
    assert len(core.list_namespaced_config_map(namespace, label_selector="a=b").items) == 1
    core.delete_namespaced_config_map(name, namespace)
    with pytest.raises(ApiException) as refusal:
        core.read_namespaced_config_map(name, namespace)
    assert (refusal.value.status, refusal.value.reason) == (404, "Not Found")


def test_lists_in_pages(core: Any, namespace: str) -> None:
    for number in range(5):
        core.create_namespaced_secret(namespace, {"metadata": {"name": f"s{number}"}})
    page = core.list_namespaced_secret(namespace, limit=2)
    names = [item.metadata.name for item in page.items]
    while page.metadata._continue:
        page = core.list_namespaced_secret(namespace, limit=2, _continue=page.metadata._continue)
        names += [item.metadata.name for item in page.items]
    assert names == [f"s{number}" for number in range(5)]


def test_every_kind_of_patch(core: Any, namespace: str) -> None:
    ports = [{"name": "a", "port": 80}]
    body = {"metadata": {"name": "web"}, "spec": {"ports": ports, "selector": {"app": "web"}}}
    core.create_namespaced_service(namespace, body)
    # The strategic merge patch, which merges ports by their number.
    patch = {"spec": {"ports": [{"name": "b", "port": 81}]}}
    found = core.patch_namespaced_service("web", namespace, patch)
    assert sorted(port.port for port in found.spec.ports) == [80, 81]
    steps = [{"op": "replace", "path": "/spec/selector/app", "value": "other"}]
    found = core.patch_namespaced_service("web", namespace, steps, _content_type=JSON_PATCH)
    assert found.spec.selector == {"app": "other"}
    merge = {"metadata": {"labels": {"x": "y"}}, "spec": {"ports": ports}}
    found = core.patch_namespaced_service("web", namespace, merge, _content_type=MERGE_PATCH)
    assert [port.port for port in found.spec.ports] == [80]
    wrong = [{"op": "test", "path": "/spec/type", "value": "NodePort"}]
    with pytest.raises(ApiException) as refusal:
        core.patch_namespaced_service("web", namespace, wrong, _content_type=JSON_PATCH)
    assert refusal.value.status == 422


def test_server_side_apply(core: Any, namespace: str) -> None:
    def apply(value: str, manager: str, **options: Any) -> Any:
        metadata = {"name": "applied", "namespace": namespace}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": value}}
        return core.patch_namespaced_config_map(
            "applied", namespace, body, field_manager=manager, _content_type=APPLY_PATCH, **options
        )

    apply("1", "first")
    with pytest.raises(ApiException) as refusal:
        apply("2", "second")
    assert refusal.value.status == 409
    assert ".data.k" in refusal.value.body
    assert apply("2", "second", force=True).data == {"k": "2"}


def test_watches_go_on_from_a_version(core: Any, namespace: str) -> None:
    listed = core.list_namespaced_config_map(namespace)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "1"}})
    core.delete_namespaced_config_map("a", namespace)
    watch = kubernetes.watch.Watch()
    events = watch.stream(
        core.list_namespaced_config_map,
        namespace,
        resource_version=listed.metadata.resource_version,
        field_selector="metadata.name=a",
        timeout_seconds=2,
    )
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]


def test_deployments_scale(connected: Any, namespace: str) -> None:
    apps = kubernetes.client.AppsV1Api(connected)
    labels = {"app": "web"}
    container = {"name": "c", "image": "counter", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    apps.create_namespaced_deployment(namespace, {"metadata": {"name": "web"}, "spec": spec})
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 1}})
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.selector) == (1, "app=web")
    watch = kubernetes.watch.Watch()
    for event in watch.stream(apps.list_namespaced_deployment, namespace, timeout_seconds=30):
        if event["object"].status.available_replicas == 1:
            watch.stop()
    pods = kubernetes.client.CoreV1Api(connected).list_namespaced_pod(namespace)
    assert pods.items[0].status.container_statuses[0].ready


def test_knative_as_custom_objects(custom: Any, namespace: str) -> None:
    where = (*KNATIVE, namespace, "services")
    custom.create_namespaced_custom_object(*where, service("hello", namespace))
    watch = kubernetes.watch.Watch()
    for event in watch.stream(
        custom.list_namespaced_custom_object,
        *where,
        field_selector="metadata.name=hello",
        timeout_seconds=60,
    ):
        conditions = event["object"].get("status", {}).get("conditions", [])
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            watch.stop()
    found = custom.get_namespaced_custom_object(*where, "hello")
    assert found["status"]["url"].startswith(f"http://hello.{namespace}.")
    merge = {"metadata": {"annotations": {"a": "b"}}}
    found = custom.patch_namespaced_custom_object(*where, "hello", merge)
    assert found["metadata"]["annotations"]["a"] == "b"
    with pytest.raises(ApiException) as refusal:
        custom.create_namespaced_custom_object(*where, service("hello", namespace))
    assert refusal.value.status == 409
    custom.delete_namespaced_custom_object(*where, "hello")


def test_a_kind_of_its_own(connected: Any, custom: Any, namespace: str) -> None:
    extensions = kubernetes.client.ApiextensionsV1Api(connected)
    extensions.create_custom_resource_definition(definition("gadgets", "Gadget"))
    watch = kubernetes.watch.Watch()
    for event in watch.stream(
        extensions.list_custom_resource_definition,
        field_selector="metadata.name=gadgets.example.com",
        timeout_seconds=20,
    ):
        status = event["object"].status
        if status and any(c.type == "Established" for c in status.conditions or ()):
            watch.stop()
    where = ("example.com", "v1", namespace, "gadgets")
    body = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    made = custom.create_namespaced_custom_object(*where, {**body, "spec": {"size": 2}})
    assert made["spec"] == {"size": 2, "color": "red"}
    status = {"status": {"phase": "Done"}, "spec": {"size": 9}}
    custom.patch_namespaced_custom_object_status(*where, "g", status)
    found = custom.get_namespaced_custom_object(*where, "g")
    assert (found["status"], found["spec"]["size"]) == ({"phase": "Done"}, 2)
    with pytest.raises(ApiException) as refusal:
        custom.create_namespaced_custom_object(*where, {**body, "spec": {"size": 0}})
    assert refusal.value.status == 422
    extensions.delete_custom_resource_definition("gadgets.example.com")


def test_the_dynamic_client(connected: Any, namespace: str) -> None:
    dynamic = DynamicClient(connected)
    services = dynamic.resources.get(api_version="serving.knative.dev/v1", kind="Service")
    services.create(body=service("dyn", namespace), namespace=namespace)
    found = services.get(name="dyn", namespace=namespace)
    assert found.spec.template.spec.containers[0].image == "counter"
    body = {"metadata": {"name": "dyn", "labels": {"team": "a"}}}
    services.patch(body=body, namespace=namespace, content_type=MERGE_PATCH)
    listed = services.get(namespace=namespace, label_selector="team=a")
    assert [item.metadata.name for item in listed.items] == ["dyn"]
    applied = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "dyn", "annotations": {"x": "y"}},
    }
    services.server_side_apply(body=applied, namespace=namespace, field_manager="test")
    services.delete(name="dyn", namespace=namespace)


def test_leader_election(connected: Any, namespace: str) -> None:
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

    kubernetes.client.Configuration.set_default(connected.configuration)
    lock = ConfigMapLock("leader", namespace, "me")
    config = electionconfig.Config(
        lock,
        lease_duration=3,
        renew_deadline=2,
        retry_period=1,
        onstarted_leading=lambda: None,
        onstopped_leading=lambda: None,
    )
    election = leaderelection.LeaderElection(config)
    assert election.acquire()
    status, record = lock.get("leader", namespace)
    assert status
    assert record.holder_identity == "me"


def test_leases_have_one_holder(connected: Any, namespace: str) -> None:
    leases = kubernetes.client.CoordinationV1Api(connected)
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
    made = leases.create_namespaced_lease(namespace, {"metadata": {"name": "l"}, "spec": spec})
    first, second = made.to_dict(), made
    second.spec.holder_identity = "b"
    leases.replace_namespaced_lease("l", namespace, second)
    late = {
        "metadata": {"name": "l", "resourceVersion": first["metadata"]["resource_version"]},
        "spec": {"holderIdentity": "c"},
    }
    with pytest.raises(ApiException) as refusal:
        leases.replace_namespaced_lease("l", namespace, late)
    assert refusal.value.status == 409
    assert leases.read_namespaced_lease("l", namespace).spec.holder_identity == "b"


def test_rights_and_logs(connected: Any, core: Any, platform: Platform, namespace: str) -> None:
    attributes = {"verb": "create", "resource": "pods", "namespace": namespace}
    review = kubernetes.client.AuthorizationV1Api(connected).create_self_subject_access_review(
        {"spec": {"resourceAttributes": attributes}}
    )
    assert review.status.allowed
    command = ["sh", "-c", "echo from the pod"]
    spec = {
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "counter", "command": command}],
    }
    core.create_namespaced_pod(namespace, {"metadata": {"name": "p"}, "spec": spec})
    watch = kubernetes.watch.Watch()
    for event in watch.stream(core.list_namespaced_pod, namespace, timeout_seconds=30):
        if event["object"].status.phase == "Succeeded":
            watch.stop()
    assert core.read_namespaced_pod_log("p", namespace) == "from the pod\n"
    version = kubernetes.client.VersionApi(connected).get_code()
    assert version.git_version.startswith("v1.32")


@pytest.fixture
def box(core: Any, namespace: str) -> Iterator[str]:
    """A pod that runs and listens on 8080."""
    container = {
        "name": "c",
        "image": "counter",
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    core.create_namespaced_pod(
        namespace, {"metadata": {"name": "box"}, "spec": {"containers": [container]}}
    )
    watch = kubernetes.watch.Watch()
    for event in watch.stream(core.list_namespaced_pod, namespace, timeout_seconds=60):
        statuses = event["object"].status.container_statuses
        if statuses and statuses[0].ready:
            watch.stop()
    yield "box"
    gc.collect()  # the client leaves its sockets to the collector, which warns of them


def test_exec(core: Any, namespace: str, box: str) -> None:
    call = core.connect_get_namespaced_pod_exec
    command = ["sh", "-c", "echo out; echo err >&2"]
    assert "out" in stream(call, box, namespace, command=command, stdout=True, stderr=True)
    session = stream(
        call,
        box,
        namespace,
        command=["sh", "-c", "read line; echo got $line; exit 3"],
        stdin=True,
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    session.write_stdin("hello\n")
    session.run_forever(timeout=30)
    assert session.read_stdout() == "got hello\n"
    assert session.returncode == 3


def test_port_forward(core: Any, namespace: str, box: str) -> None:
    forwarded = portforward(
        core.connect_get_namespaced_pod_portforward, box, namespace, ports="8080"
    )
    socket = forwarded.socket(8080)
    socket.settimeout(30)
    socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b""
    while data := socket.recv(65536):
        answer += data
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"pid"' in answer
    assert forwarded.error(8080) is None
    socket.close()


def test_a_port_that_cannot_be_forwarded_says_why(core: Any, namespace: str, box: str) -> None:
    call = core.connect_get_namespaced_pod_portforward
    forwarded = portforward(call, box, namespace, ports="9999")
    socket = forwarded.socket(9999)
    socket.settimeout(30)
    assert socket.recv(100) == b""
    assert "pod box declares no port 9999" in forwarded.error(9999)
    socket.close()


def test_a_watch_from_a_version_that_is_gone_begins_anew(core: Any, namespace: str) -> None:
    first = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    old = first.metadata.resource_version
    filler = {"data": {"text": "x" * 900_000}}
    for number in range(12):  # more than the server remembers, 8 MiB
        core.patch_namespaced_config_map(
            "a", namespace, {**filler, "data": {"n": str(number), **filler["data"]}}
        )
    call = core.list_namespaced_config_map
    with pytest.raises(ApiException) as gone:
        list(
            kubernetes.watch.Watch().stream(
                call, namespace, resource_version=old, timeout_seconds=5
            )
        )
    assert gone.value.status == 410
    # Without a version of its own the client lists anew by itself.
    for event in kubernetes.watch.Watch().stream(call, namespace, timeout_seconds=20):
        if event["object"].metadata.name == "a":
            assert event["object"].data["n"] == "11"
            break
    else:
        pytest.fail("the watch saw nothing")
