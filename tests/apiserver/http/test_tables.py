"""What `kubectl get` shows."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tidegate.apis.kinds import PrinterColumn
from tidegate.apiserver.storage.stored import Stored
from tidegate.apiserver.tables.ages import age, human_duration
from tidegate.apiserver.tables.core import EVENTS, NODES
from tidegate.apiserver.tables.custom import layout_of
from tidegate.apiserver.tables.jsonpath import compile_path
from tidegate.apiserver.tables.network import ENDPOINT_SLICES, INGRESSES, SERVICES
from tidegate.apiserver.tables.pods import PODS, summarize
from tidegate.apiserver.tables.render import render_table
from tidegate.apiserver.tables.workloads import DEPLOYMENTS, JOBS
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.errors import BadRequest

CREATED = "2026-01-01T00:00:00Z"
NOW = parse_rfc3339(CREATED) + 3600
META = {"name": "x", "creationTimestamp": CREATED}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (7 * 3600 + 61, "7h1m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (7 * 86400 + 3600, "7d1h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (731 * 86400, "2y1d"),
        (8 * 365 * 86400, "8y"),
    ],
)
def test_durations_read_as_in_kubectl(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize("timestamp", [None, "", "yesterday"])
def test_an_age_without_time_is_unknown(timestamp: str | None) -> None:
    assert age(timestamp, NOW) == "<unknown>"


OBJECT = {
    "metadata": {"labels": {"a.b/c": "label"}},
    "status": {
        "conditions": [{"type": "Other", "status": "x"}, {"type": "Ready", "status": "True"}],
        "list": [1, 2, 3],
        "count": 4,
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".status.count", [4]),
        ("status.count", [4]),
        ("{.status.count}", [4]),
        (r".metadata.labels.a\.b/c", ["label"]),
        (".metadata.labels['a.b/c']", ["label"]),
        (r".metadata.labels['a\.b/c']", ["label"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        (".status.conditions[?(@.type!='Ready')].status", ["x"]),
        (".status.list[0]", [1]),
        (".status.list[-1]", [3]),
        (".status.list[7]", []),
        (".status.list[*]", [1, 2, 3]),
        (".status.missing.deeper", []),
        (".status.conditions[*].type", ["Other", "Ready"]),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    assert compile_path(path)(OBJECT) == found


@pytest.mark.parametrize("path", [".a[", ".a[?(@.x]", "..", ".a[b]"])
def test_json_paths_that_are_not_understood(path: str) -> None:
    with pytest.raises(BadRequest, match="not understood"):
        compile_path(path)


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}
    return {"metadata": {**META, **metadata}, "spec": spec, "status": status}


def running(*, ready: bool, restarts: int = 0) -> dict[str, Any]:
    return {"ready": ready, "restartCount": restarts, "state": {"running": {"startedAt": CREATED}}}


def waiting(reason: str) -> dict[str, Any]:
    return {"ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}


def ended(code: int, reason: str = "") -> dict[str, Any]:
    terminated: dict[str, Any] = {"exitCode": code}
    if reason:
        terminated["reason"] = reason
    return {"ready": False, "restartCount": 0, "state": {"terminated": terminated}}


READY = {"type": "Ready", "status": "True"}


@pytest.mark.parametrize(
    ("status", "ready", "reason"),
    [
        ({"phase": "Pending"}, 0, "Pending"),
        (
            {
                "phase": "Running",
                "containerStatuses": [running(ready=True), running(ready=False)],
                "initContainerStatuses": [ended(0)],
            },
            1,
            "Running",
        ),
        ({"phase": "Pending", "initContainerStatuses": [running(ready=False)]}, 0, "Init:0/1"),
        ({"phase": "Pending", "initContainerStatuses": [ended(3)]}, 0, "Init:ExitCode:3"),
        ({"phase": "Pending", "initContainerStatuses": [ended(3, "Error")]}, 0, "Init:Error"),
        (
            {"phase": "Pending", "initContainerStatuses": [waiting("ImagePullBackOff")]},
            0,
            "Init:ImagePullBackOff",
        ),
        (
            {"phase": "Pending", "containerStatuses": [waiting("ErrImagePull"), waiting("X")]},
            0,
            "ErrImagePull",
        ),
        ({"phase": "Failed", "containerStatuses": [ended(1, "OOMKilled")]}, 0, "OOMKilled"),
        ({"phase": "Failed", "containerStatuses": [ended(137)]}, 0, "ExitCode:137"),
        ({"phase": "Failed", "reason": "Evicted"}, 0, "Evicted"),
        (
            {
                "phase": "Running",
                "containerStatuses": [ended(0, "Completed"), running(ready=True)],
                "conditions": [READY],
            },
            1,
            "Running",
        ),
        (
            {"phase": "Running", "containerStatuses": [ended(0, "Completed"), running(ready=True)]},
            1,
            "NotReady",
        ),
    ],
)
def test_the_state_of_a_pod_in_one_word(status: dict[str, Any], ready: int, reason: str) -> None:
    summary = summarize(pod(status))
    assert (summary.ready, summary.total, summary.reason) == (ready, 2, reason)


def test_a_pod_that_is_being_deleted_says_so() -> None:
    assert summarize(pod({"phase": "Running"}, deletionTimestamp=CREATED)).reason == "Terminating"
    assert summarize(pod({"phase": "Failed"}, deletionTimestamp=CREATED)).reason == "Failed"


def test_the_row_of_a_pod() -> None:
    restarted = running(ready=True, restarts=2)
    restarted["lastState"] = {"terminated": {"exitCode": 1, "finishedAt": CREATED}}
    obj = pod(
        {"phase": "Running", "containerStatuses": [restarted], "podIP": "127.0.0.1"},
    )
    obj["spec"]["nodeName"] = "tidegate"
    assert PODS.row(obj, NOW) == [
        "x",
        "1/2",
        "Running",
        "2 (60m ago)",
        "60m",
        "127.0.0.1",
        "tidegate",
        "<none>",
        "<none>",
    ]


def test_rows_of_other_kinds() -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    deployment = {
        "metadata": META,
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template},
        "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
    }
    assert DEPLOYMENTS.row(deployment, NOW) == ["x", "1/3", 2, 1, "60m", "c", "i:1", "a=b"]
    service = {
        "metadata": META,
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "127.0.0.2",
            "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
        },
    }
    assert SERVICES.row(service, NOW) == [
        "x",
        "LoadBalancer",
        "127.0.0.2",
        "<pending>",
        "80:30080/TCP,53/UDP",
        "60m",
        "<none>",
    ]
    ingress = {
        "metadata": META,
        "spec": {"rules": [{"host": f"{n}.example"} for n in "abcde"], "tls": [{}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}},
    }
    assert INGRESSES.row(ingress, NOW)[2:5] == [
        "a.example,b.example,c.example + 2 more...",
        "127.0.0.1",
        "80, 443",
    ]
    endpoints = {"metadata": META, "addressType": "IPv4", "endpoints": [], "ports": []}
    assert ENDPOINT_SLICES.row(endpoints, NOW)[2:4] == ["<unset>", "<unset>"]
    node = {
        "metadata": {**META, "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [READY], "nodeInfo": {"kubeletVersion": "v1"}},
    }
    assert NODES.row(node, NOW)[1:5] == ["Ready,SchedulingDisabled", "worker", "60m", "v1"]
    event = {
        "metadata": META,
        "involvedObject": {"kind": "Pod", "name": "p"},
        "type": "Warning",
        "reason": "Failed",
        "message": " no\n",
        "lastTimestamp": CREATED,
        "count": 3,
    }
    row = EVENTS.row(event, NOW)
    assert (row[0], row[3], row[6], row[8]) == ("60m", "pod/p", "no", 3)
    job = {
        "metadata": META,
        "spec": {"completions": 2, "template": template},
        "status": {"succeeded": 1, "startTime": CREATED},
    }
    assert JOBS.row(job, NOW)[1:4] == ["Running", "1/2", "60m"]


def test_custom_columns_are_converted_by_type() -> None:
    layout = layout_of(
        (
            PrinterColumn("Text", "string", ".spec.list"),
            PrinterColumn("Number", "integer", ".spec.number"),
            PrinterColumn("Flag", "boolean", ".spec.flag"),
            PrinterColumn("Since", "date", ".metadata.creationTimestamp"),
            PrinterColumn("Missing", "string", ".spec.missing", priority=1),
        )
    )
    obj = {"metadata": META, "spec": {"list": ["a"], "number": 2.0, "flag": True}}
    assert layout.row(obj, NOW) == ["x", '["a"]', 2, True, "60m", None]
    assert [column.priority for column in layout.columns] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("Object", "Pod"), ("None", None)]
)
def test_tables_carry_as_much_of_the_object_as_asked(include: str, kind: str | None) -> None:
    obj = {"kind": "Pod", **pod({"phase": "Pending"})}
    stored = Stored(obj, orjson.dumps(obj), 7)
    table = orjson.loads(render_table(PODS, [stored], now=NOW, include=include, headers=False))
    assert table["columnDefinitions"] == []
    carried = table["rows"][0]["object"]
    assert (carried and carried["kind"]) == kind
