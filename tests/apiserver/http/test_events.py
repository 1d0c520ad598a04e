"""Events in both of their groups: written in one, read in the other."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.apiserver.http.face import Face, needs_kubectl

CORE = "/api/v1/namespaces/default/events"
V1 = "/apis/events.k8s.io/v1/namespaces/default/events"
TIME = "2026-01-01T00:00:00.000000Z"


def of_core(name: str, **fields) -> dict:
    return {
        "metadata": {"name": name},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": "default"},
        "message": "it began",
        "reason": "Started",
        "type": "Normal",
        "source": {"component": "kubelet"},
        "count": 2,
        **fields,
    }


def of_v1(name: str, **fields) -> dict:
    return {
        "metadata": {"name": name},
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "q", "namespace": "default"},
        "note": "it ended",
        "reason": "Ended",
        "action": "End",
        "type": "Warning",
        "eventTime": TIME,
        "reportingController": "example.com/ender",
        "reportingInstance": "ender-1",
        **fields,
    }


async def made(face: Face, path: str, body: dict) -> dict:
    answer = await face.http().post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_each_form_is_read_in_the_other(face: Face) -> None:
    http = face.http()
    await made(face, CORE, of_core("a"))
    shown = await made(face, V1, of_v1("b"))
    assert (shown["apiVersion"], shown["note"]) == ("events.k8s.io/v1", "it ended")
    a = (await http.get(f"{V1}/a")).json()
    assert a["apiVersion"] == "events.k8s.io/v1"
    assert (a["regarding"]["name"], a["note"], a["deprecatedCount"]) == ("p", "it began", 2)
    assert a["deprecatedSource"] == {"component": "kubelet"}
    assert "message" not in a
    b = (await http.get(f"{CORE}/b")).json()
    assert (b["apiVersion"], b["involvedObject"]["name"]) == ("v1", "q")
    assert (b["message"], b["reportingComponent"]) == ("it ended", "example.com/ender")
    assert b["eventTime"] == TIME
    for path, version in ((CORE, "v1"), (V1, "events.k8s.io/v1")):
        items = (await http.get(path)).json()["items"]
        assert [item["metadata"]["name"] for item in items] == ["a", "b"]
        assert {item["apiVersion"] for item in items} == {version}


async def test_changes_in_either_form_keep_what_the_other_has(face: Face) -> None:
    http = face.http()
    await made(face, CORE, of_core("a"))
    merge = {"Content-Type": "application/merge-patch+json"}
    series = {"series": {"count": 3, "lastObservedTime": TIME}}
    changed = await http.patch(f"{V1}/a", content=json.dumps(series), headers=merge)
    assert changed.status_code == 200, changed.text
    assert changed.json()["series"]["count"] == 3
    core = (await http.get(f"{CORE}/a")).json()
    assert (core["count"], core["series"]["count"], core["message"]) == (2, 3, "it began")
    v1 = (await http.get(f"{V1}/a")).json()
    replaced = await http.put(f"{V1}/a", json={**v1, "note": "anew"})
    assert replaced.status_code == 200, replaced.text
    assert (await http.get(f"{CORE}/a")).json()["message"] == "anew"
    assert (await http.delete(f"{V1}/a")).status_code == 200
    assert (await http.get(f"{CORE}/a")).status_code == 404


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        (CORE, "involvedObject.name=q"),
        (V1, "regarding.name=q"),
        (CORE, "reportingComponent=example.com/ender"),
        (V1, "reportingController=example.com/ender,type=Warning"),
    ],
)
async def test_each_form_is_selected_by_its_own_fields(
    face: Face, path: str, selector: str
) -> None:
    await made(face, CORE, of_core("a"))
    await made(face, V1, of_v1("b"))
    found = await face.http().get(path, params={"fieldSelector": selector})
    assert [item["metadata"]["name"] for item in found.json()["items"]] == ["b"]


async def test_a_watch_shows_every_change_in_its_own_form(face: Face) -> None:
    http = face.http()
    params = {"watch": "1", "fieldSelector": "regarding.kind=Pod", "timeoutSeconds": "20"}
    async with http.stream("GET", V1, params=params) as stream, asyncio.timeout(15):
        await made(face, CORE, of_core("a"))
        await http.delete(f"{CORE}/a")
        events = []
        async for line in stream.aiter_lines():
            events.append(json.loads(line))
            if len(events) == 2:
                break
    assert [event["type"] for event in events] == ["ADDED", "DELETED"]
    assert all(event["object"]["note"] == "it began" for event in events)


@needs_kubectl
async def test_kubectl_shows_them_alike(face: Face) -> None:
    await made(face, CORE, of_core("a", lastTimestamp="2026-01-01T00:00:00Z"))
    await made(face, V1, of_v1("b"))
    core = (await face.ok("get", "events")).splitlines()
    v1 = (await face.ok("get", "events.events.k8s.io")).splitlines()
    assert (
        core[0].split() == v1[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    )
    assert [line.split()[1:] for line in core[1:]] == [line.split()[1:] for line in v1[1:]]
    said = await face.ok("events", "--for", "Pod/q")
    assert "it ended" in said
    assert "it began" not in said
    assert "regarding" in await face.ok(
        "explain", "events.regarding", "--api-version=events.k8s.io/v1"
    )
