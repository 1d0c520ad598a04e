"""Watches over HTTP: every change in order, for as long as it was asked, and no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from tests.apiserver.http.face import Face
from tests.apiserver.http.requests import CONFIG_MAPS, config_map, refused
from tests.support.waiting import eventually

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def lines(response: httpx.Response, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        async for line in response.aiter_lines():
            found.append(orjson.loads(line))
            if len(found) == count:
                break
    return found


async def test_a_watch_tells_every_change_in_order(face: Face) -> None:
    http = face.http()
    version = (await http.get(CONFIG_MAPS)).json()["metadata"]["resourceVersion"]
    params = {"watch": "true", "resourceVersion": version}
    async with http.stream("GET", CONFIG_MAPS, params=params) as response:
        assert response.headers["transfer-encoding"] == "chunked"
        await http.post(CONFIG_MAPS, json=config_map("a"))
        merge = {"content-type": "application/merge-patch+json"}
        await http.patch(f"{CONFIG_MAPS}/a", content=b'{"data":{"x":"1"}}', headers=merge)
        await http.delete(f"{CONFIG_MAPS}/a")
        events = await lines(response, 3)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)
    assert versions[0] > int(version)


async def test_a_watch_ends_when_its_time_is_over(face: Face) -> None:
    params = {"watch": "1", "timeoutSeconds": "1"}
    response = await face.http().get("/api/v1/namespaces", params=params)
    events = [orjson.loads(line) for line in response.text.splitlines()]
    assert {event["type"] for event in events} == {"ADDED"}
    assert "default" in {event["object"]["metadata"]["name"] for event in events}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/api/v1/watch/namespaces/default/configmaps", {"a", "b"}),
        ("/api/v1/watch/namespaces/default/configmaps/a", {"a"}),
        ("/api/v1/watch/namespaces/default", {"default"}),
        ("/api/v1/watch/configmaps?labelSelector=x%3Dy", {"b"}),
    ],
)
async def test_the_old_paths_of_watches(face: Face, path: str, names: set[str]) -> None:
    http = face.http()
    await http.post(CONFIG_MAPS, json=config_map("a"))
    labelled = config_map("b")
    labelled["metadata"]["labels"] = {"x": "y"}
    await http.post(CONFIG_MAPS, json=labelled)
    response = await http.get(path, params={**httpx.URL(path).params, "timeoutSeconds": "1"})
    events = [orjson.loads(line) for line in response.text.splitlines()]
    assert {event["object"]["metadata"]["name"] for event in events} == names
    assert {event["type"] for event in events} == {"ADDED"}


async def test_the_old_paths_of_watches_are_for_watches_only(face: Face) -> None:
    http, path = face.http(), "/api/v1/watch/namespaces/default/configmaps"
    refused(await http.post(path, json=config_map("a")), 405, "MethodNotAllowed")
    refused(await http.delete(f"{path}/a"), 405, "MethodNotAllowed")
    refused(await http.get("/api/v1/watch/namespaces/default/pods/a/log"), 404, "NotFound")
    account = await face.account("reader")
    refused(await account.get(path), 403, "Forbidden")


async def test_a_watch_from_too_far_back_is_gone(face: Face) -> None:
    params = {"watch": "true", "resourceVersion": "999999999"}
    response = await face.http().get(CONFIG_MAPS, params=params)
    assert response.status_code == 200
    event = response.json()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_initial_events_end_with_a_bookmark(face: Face) -> None:
    params = {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "1",
    }
    http = face.http()
    response = await http.get("/api/v1/namespaces", params=params)
    last = orjson.loads(response.text.splitlines()[-1])
    assert last["type"] == "BOOKMARK"
    assert last["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    del params["resourceVersionMatch"]
    refused(await http.get("/api/v1/namespaces", params=params), 422, "Invalid")


async def test_a_watch_as_tables_sends_the_columns_once(face: Face) -> None:
    params = {"watch": "true", "timeoutSeconds": "1"}
    response = await face.http().get("/api/v1/namespaces", params=params, headers={"accept": TABLE})
    tables = [orjson.loads(line)["object"] for line in response.text.splitlines()]
    assert [bool(table["columnDefinitions"]) for table in tables] == [
        index == 0 for index in range(len(tables))
    ]
    assert all(len(table["rows"]) == 1 for table in tables)


async def test_watches_end_cleanly_when_the_server_stops(face: Face) -> None:
    http = face.http()
    async with http.stream("GET", CONFIG_MAPS, params={"watch": "true"}) as response:
        stopping = asyncio.create_task(_stop(face))
        async with asyncio.timeout(5):
            assert [line async for line in response.aiter_lines()] == []
    await stopping


async def _stop(face: Face) -> None:
    running = [t for t in asyncio.all_tasks() if "ApiServer.run" in repr(t.get_coro())]
    assert len(running) == 1
    running[0].cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_watches_have_a_limit(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face.server._streams, "_limit", 1)
    http = face.http()
    async with http.stream("GET", CONFIG_MAPS, params={"watch": "true"}):
        response = await http.get(CONFIG_MAPS, params={"watch": "true"})
        refused(response, 429, "TooManyRequests")
        assert response.headers["retry-after"] == "5"


async def test_a_watcher_that_leaves_is_forgotten(face: Face) -> None:
    http = face.http()
    before = len(asyncio.all_tasks())
    async with http.stream("GET", CONFIG_MAPS, params={"watch": "true"}):
        assert len(asyncio.all_tasks()) > before
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_watcher_that_does_not_read_holds_nobody_up(face: Face) -> None:
    http = face.http()
    _, stuck = await asyncio.open_connection(
        "127.0.0.1", face.server.port, ssl=face.tls(), limit=1024
    )
    stuck.write(f"GET {CONFIG_MAPS}?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with http.stream("GET", CONFIG_MAPS, params={"watch": "true"}) as response:
        for index in range(100):
            await http.post(CONFIG_MAPS, json=config_map(f"c{index}", x="x" * 50_000))
        events = await lines(response, 100)
    assert [event["object"]["metadata"]["name"] for event in events] == [
        f"c{index}" for index in range(100)
    ]
    stuck.transport.abort()
