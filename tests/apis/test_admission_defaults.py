"""What is filled in where users have said nothing."""

from __future__ import annotations

from tests.apis.services import (
    changed,
    container,
    refusal,
    service,
    template,
)
from tidegate.apis.admission import (
    admit_service,
)
from tidegate.apis.config_sections import Defaults
from tidegate.apis.defaults import with_defaults
from tidegate.apis.settings import ADMISSION, Settings
from tidegate.kube.objects import thaw


def test_defaults_of_a_service() -> None:
    assert admit_service(service(), None, "me")["spec"] == {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "user-container",
                        "image": "hello:1",
                        "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1},
                        "resources": {},
                    }
                ],
                "containerConcurrency": 0,
                "enableServiceLinks": False,
                "timeoutSeconds": 300,
            }
        },
        "traffic": [{"percent": 100, "latestRevision": True}],
    }


def test_the_object_given_is_not_changed() -> None:
    obj = service()
    admit_service(obj, None, "me")
    assert obj == service()


def test_defaults_settle_at_once() -> None:
    once = admit_service(service(), None, "me")
    assert admit_service(once, once, "me") == once


def test_probes_with_a_period_get_thresholds() -> None:
    obj = changed(
        lambda o: container(o).update(readinessProbe={"httpGet": {"path": "/"}, "periodSeconds": 1})
    )
    assert container(admit_service(obj, None, "me"))["readinessProbe"] == {
        "httpGet": {"path": "/"},
        "periodSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
        "timeoutSeconds": 1,
    }


def test_several_containers_are_numbered_and_only_one_is_probed() -> None:
    obj = service()
    obj["spec"]["template"]["spec"]["containers"] = [
        {"image": "a:1", "ports": [{"containerPort": 9000}]},
        {"image": "b:1"},
    ]
    containers = template(admit_service(obj, None, "me"))["spec"]["containers"]
    assert [item["name"] for item in containers] == ["user-container-0", "user-container-1"]
    assert "readinessProbe" in containers[0]
    assert "readinessProbe" not in containers[1]


def test_mounts_are_read_only_unless_the_volume_is_empty() -> None:
    obj = service(
        volumes=[
            {"name": "conf", "configMap": {"name": "c"}},
            {"name": "scratch", "emptyDir": {}},
        ]
    )
    container(obj)["volumeMounts"] = [
        {"name": "conf", "mountPath": "/conf"},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    mounts = container(admit_service(obj, None, "me"))["volumeMounts"]
    assert [item.get("readOnly") for item in mounts] == [True, None]


def test_cluster_defaults_count() -> None:
    ADMISSION.current = Settings(
        defaults=Defaults(
            revision_timeout_seconds=60,
            revision_response_start_timeout_seconds=30,
            container_concurrency=4,
            revision_cpu_request="100m",
            revision_memory_limit="1Gi",
        )
    )
    spec = template(admit_service(service(), None, "me"))["spec"]
    assert spec["timeoutSeconds"] == 60
    assert spec["responseStartTimeoutSeconds"] == 30
    assert spec["containerConcurrency"] == 4
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "100m"},
        "limits": {"memory": "1Gi"},
    }


def test_objects_that_were_never_admitted_get_their_defaults_later() -> None:
    raw = service()
    assert with_defaults(raw, Settings())["spec"] == admit_service(raw, None, "me")["spec"]
    assert raw == service()


def test_objects_that_were_admitted_keep_their_defaults() -> None:
    admitted = admit_service(service(), None, "me")
    later = Settings(defaults=Defaults(revision_cpu_request="1"))
    assert with_defaults(admitted, later) is admitted


def test_authors_are_noted() -> None:
    created = admit_service(service(), None, "alice")
    keys = ("serving.knative.dev/creator", "serving.knative.dev/lastModifier")
    assert [created["metadata"]["annotations"][key] for key in keys] == ["alice", "alice"]
    same = admit_service(created, created, "bob")
    assert [same["metadata"]["annotations"][key] for key in keys] == ["alice", "alice"]
    new = thaw(created)
    container(new)["image"] = "hello:2"
    del new["metadata"]["annotations"]
    later = admit_service(new, created, "bob")
    assert [later["metadata"]["annotations"][key] for key in keys] == ["alice", "bob"]
    forged = thaw(created)
    forged["metadata"]["annotations"]["serving.knative.dev/creator"] = "mallory"
    assert refusal(forged, created) == (
        "annotation value is immutable: metadata.annotations.serving.knative.dev/creator"
    )
