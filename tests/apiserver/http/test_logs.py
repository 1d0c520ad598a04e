"""Logs of pods over HTTP: the part that was asked for, followed, and from which container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.apiserver.http.face import Face
from tests.apiserver.http.requests import refused
from tidegate.kube.errors import NotFound


class Lines:
    """A log of three lines, of which the last comes when it is let go."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.let_go = asyncio.Event()

    async def stream(
        self, namespace: str, pod: str, container: str, **options: Any
    ) -> AsyncIterator[bytes]:
        self.asked = {"pod": f"{namespace}/{pod}/{container}", **options}
        if options["previous"]:
            raise NotFound(f"previous terminated container {container!r} not found")
        yield b"one\ntwo\n"
        if options["follow"]:
            await self.let_go.wait()
        yield b"three\n"


async def make_pod(http: httpx.AsyncClient, *containers: str) -> str:
    body = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": name, "image": "i"} for name in containers]},
    }
    path = "/api/v1/namespaces/default/pods"
    assert (await http.post(path, json=body)).status_code == 201
    return f"{path}/p/log"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"tailLines": "-1"}, "tailLines"),
        ({"limitBytes": "0"}, "limitBytes"),
        ({"sinceSeconds": "0"}, "sinceSeconds"),
        ({"sinceSeconds": "5", "sinceTime": "2026-01-02T03:04:05Z"}, "sinceTime"),
    ],
)
async def test_parts_of_logs_that_cannot_be(face: Face, asked: dict[str, str], field: str) -> None:
    http = face.http()
    path = await make_pod(http, "c")
    face.server.attach_logs(Lines())
    answer = await http.get(path, params=asked)
    refused(answer, 422, "Invalid")
    assert answer.json()["message"].startswith('PodLogOptions "p" is invalid: ')
    assert [cause["field"] for cause in answer.json()["details"]["causes"]] == [field]


async def test_logs(face: Face) -> None:
    http = face.http()
    path = await make_pod(http, "c")
    refused(await http.get(path), 503, "ServiceUnavailable")
    source = Lines()
    face.server.attach_logs(source)
    params = {"tailLines": "5", "sinceSeconds": "60", "timestamps": "true", "limitBytes": "100"}
    response = await http.get(path, params=params)
    assert response.text == "one\ntwo\nthree\n"
    assert response.headers["content-type"] == "text/plain"
    assert source.asked == {
        "pod": "default/p/c",
        "follow": False,
        "tail_lines": 5,
        "since_seconds": 60.0,
        "previous": False,
        "timestamps": True,
        "limit_bytes": 100,
    }
    refused(await http.get(path, params={"previous": "true"}), 404, "NotFound")
    refused(await http.get(path, params={"container": "x"}), 400, "BadRequest")
    refused(await http.get(path.replace("/p/", "/q/")), 404, "NotFound")


async def test_logs_are_followed(face: Face) -> None:
    http = face.http()
    source = Lines()
    face.server.attach_logs(source)
    path = await make_pod(http, "c")
    async with http.stream("GET", path, params={"follow": "true"}) as response:
        received = response.aiter_lines()
        async with asyncio.timeout(5):
            assert [await anext(received), await anext(received)] == ["one", "two"]
            source.let_go.set()
            assert [line async for line in received] == ["three"]


async def test_a_pod_of_several_containers_must_be_told_which(face: Face) -> None:
    http = face.http()
    face.server.attach_logs(Lines())
    path = await make_pod(http, "a", "b")
    status = refused(await http.get(path), 400, "BadRequest")
    assert "choose one of: [a b]" in status["message"]
