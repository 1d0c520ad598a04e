"""The client over HTTPS against answers that no healthy API gives."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from tidegate.kube.errors import ApiError, Gone, InternalError, NotFound, ServiceUnavailable
from tidegate.kube.objects import name_of
from tidegate.kube.remote import RemoteClient
from tidegate.kube.resources import PODS


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> RemoteClient:
    transport = httpx2.MockTransport(answer)
    return RemoteClient(httpx2.AsyncClient(transport=transport, base_url="http://api"))


def says(code: int, text: str) -> RemoteClient:
    return client(lambda _request: httpx2.Response(code, text=text))


async def watched(remote: RemoteClient) -> list[str]:
    async with remote, remote.watch(PODS, resource_version="7") as events:
        return [name_of(event.object) async for event in events]


async def test_a_watch_ends_by_itself_and_no_silence_outlasts_it() -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        line = '{"type":"ADDED","object":{"metadata":{"name":"a"}}}'
        return httpx2.Response(200, text=f"{line}\n\n{line}\n")

    assert await watched(client(answer)) == ["a", "a"]
    [request] = asked
    assert request.url.params["resourceVersion"] == "7"
    seconds = int(request.url.params["timeoutSeconds"])
    assert 300 <= seconds <= 600
    assert seconds < request.extensions["timeout"]["read"] <= seconds + 60


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"type":"ADDED","obj', InternalError),
        ("<html>gateway timeout</html>", InternalError),
        ('{"type":"STRANGE","object":{}}', InternalError),
        ('{"type":"ADDED"}', InternalError),
        ("[]", InternalError),
        ('{"type":"ERROR","object":{"code":410,"reason":"Expired"}}', Gone),
    ],
)
async def test_a_broken_watch_is_an_error_of_the_api(line: str, error: type[ApiError]) -> None:
    with pytest.raises(error):
        await watched(says(200, line))


@pytest.mark.parametrize(
    ("code", "text", "error", "message"),
    [
        (200, "<html>log in</html>", InternalError, "no JSON object: '<html>log in</html>'"),
        (200, "[]", InternalError, "no JSON object"),
        (404, "[]", NotFound, r"\[\]"),
        (503, "<html>upstream</html>", ServiceUnavailable, "<html>upstream</html>"),
        (404, '{"reason":"NotFound","message":"pods \\"a\\" not found"}', NotFound, 'pods "a"'),
    ],
)
async def test_what_is_no_answer_of_an_api_is_shown(
    code: int, text: str, error: type[ApiError], message: str
) -> None:
    async with says(code, text) as remote:
        with pytest.raises(error, match=message):
            await remote.get(PODS, "a", namespace="default")


async def test_an_api_that_is_not_there_is_unavailable() -> None:
    def refuse(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    async with client(refuse) as remote:
        with pytest.raises(ServiceUnavailable, match="http://api does not answer: refused"):
            await remote.list(PODS)
