"""Jobs and metrics by the official Python client, by its types and without a propagation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiException

# The client leaves the sockets of its watches to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

METRICS = ("metrics.k8s.io", "v1beta1")


@pytest.fixture
def connected(kubeconfig: Path) -> Iterator[Any]:
    client = kubernetes.config.new_client_from_config(str(kubeconfig))
    yield client
    client.close()


def job(name: str, program: str, **spec: Any) -> Any:
    container = kubernetes.client.V1Container(
        name="main", image="counter", command=["python3", "-c", program]
    )
    pod = kubernetes.client.V1PodSpec(containers=[container], restart_policy="Never")
    return kubernetes.client.V1Job(
        metadata=kubernetes.client.V1ObjectMeta(name=name),
        spec=kubernetes.client.V1JobSpec(
            template=kubernetes.client.V1PodTemplateSpec(spec=pod), **spec
        ),
    )


def until(batch: Any, namespace: str, name: str, condition: str) -> Any:
    """The job as soon as a watch shows the condition."""
    stream = kubernetes.watch.Watch()
    for event in stream.stream(
        batch.list_namespaced_job,
        namespace,
        field_selector=f"metadata.name={name}",
        timeout_seconds=60,
    ):
        found = event["object"]
        if any(c.type == condition and c.status == "True" for c in found.status.conditions or ()):
            stream.stop()
            return found
    raise AssertionError(f"job {name} was never {condition}")


def test_a_job_from_its_creation_to_its_end(connected: Any, namespace: str) -> None:
    batch = kubernetes.client.BatchV1Api(connected)
    core = kubernetes.client.CoreV1Api(connected)
    made = batch.create_namespaced_job(namespace, job("sums", "print(6 * 7)", completions=2))
    assert made.spec.selector.match_labels == {
        "batch.kubernetes.io/controller-uid": made.metadata.uid
    }
    done = until(batch, namespace, "sums", "Complete")
    assert (done.status.succeeded, done.status.active, done.status.failed) == (2, None, None)
    assert done.status.completion_time >= done.status.start_time
    pods = core.list_namespaced_pod(namespace, label_selector="job-name=sums").items
    assert [pod.status.phase for pod in pods] == ["Succeeded", "Succeeded"]
    assert core.read_namespaced_pod_log(pods[0].metadata.name, namespace).strip() == "42"
    batch.delete_namespaced_job("sums", namespace, propagation_policy="Foreground")
    pods = core.list_namespaced_pod(namespace, label_selector="job-name=sums", watch=False)
    assert all(pod.metadata.owner_references for pod in pods.items)


def test_a_delete_without_a_word_leaves_the_pods(connected: Any, namespace: str) -> None:
    batch = kubernetes.client.BatchV1Api(connected)
    core = kubernetes.client.CoreV1Api(connected)
    batch.create_namespaced_job(namespace, job("left", "print(1)"))
    until(batch, namespace, "left", "Complete")
    batch.delete_namespaced_job("left", namespace)
    for event in kubernetes.watch.Watch().stream(
        core.list_namespaced_pod, namespace, label_selector="job-name=left", timeout_seconds=60
    ):
        if not event["object"].metadata.owner_references:
            break
    else:
        raise AssertionError("the pod keeps its owner")
    (pod,) = core.list_namespaced_pod(namespace, label_selector="job-name=left").items
    assert pod.metadata.finalizers is None


def test_suspending_and_resuming_by_a_patch(connected: Any, namespace: str) -> None:
    batch = kubernetes.client.BatchV1Api(connected)
    batch.create_namespaced_job(namespace, job("held", "print(1)", suspend=True))
    held = until(batch, namespace, "held", "Suspended")
    assert held.status.start_time is None
    batch.patch_namespaced_job("held", namespace, {"spec": {"suspend": False}})
    assert until(batch, namespace, "held", "Complete").status.succeeded == 1
    with pytest.raises(ApiException) as refusal:
        batch.patch_namespaced_job("held", namespace, {"spec": {"completions": 9}})
    assert refusal.value.status == 422
    assert "field is immutable" in refusal.value.body


def test_metrics_are_a_list_like_any_other(connected: Any, namespace: str) -> None:
    custom = kubernetes.client.CustomObjectsApi(connected)
    pods = custom.list_namespaced_custom_object(*METRICS, namespace, "pods")
    assert (pods["kind"], pods["items"]) == ("PodMetricsList", [])
    nodes = custom.list_cluster_custom_object(*METRICS, "nodes", label_selector="none=such")
    assert nodes["items"] == []
    with pytest.raises(ApiException) as refusal:
        custom.get_namespaced_custom_object(*METRICS, namespace, "pods", "none")
    assert refusal.value.status == 404
