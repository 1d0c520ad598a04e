"""The service's own page through the portal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import Portal
from tests.fakes import HOST, ingress


async def until_closed(port: int) -> None:
    """Wait until nothing listens on the port any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)


async def test_cookies_go_both_ways(portal: Portal) -> None:
    first = await portal.service_page.get("/echo")
    assert first.headers.get_list("set-cookie") == [
        "sd=pod-a; Path=/; HttpOnly",
        "theme=dark; Path=/",
    ]

    second = (await portal.service_page.get("/echo")).json()

    assert dict(second["headers"])["cookie"] == "sd=pod-a; theme=dark"


async def test_cookies_of_one_visitor_are_not_given_to_another(portal: Portal) -> None:
    await portal.service_page.get("/echo")
    portal.service_page.cookies.clear()

    echo = (await portal.service_page.get("/echo")).json()

    assert "cookie" not in dict(echo["headers"])


async def test_the_service_sees_its_own_host_and_who_asks(portal: Portal) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6", "Connection": "x-secret", "X-Secret": "1", "TE": "x"}
    own = f"127.0.0.1:{portal.service_page_port}"

    answer = await portal.service_page.get("/echo", headers={**headers, "Origin": f"http://{own}"})

    seen = answer.json()["headers"]
    names = [name for name, _ in seen]
    assert dict(seen)["host"] == HOST
    assert dict(seen)["x-forwarded-host"] == own
    assert dict(seen)["x-forwarded-for"] == "127.0.0.1"
    assert dict(seen)["origin"] == f"http://{HOST}"
    assert "x-secret" not in names
    assert "te" not in names
    assert names.count("x-forwarded-for") == 1
    assert answer.headers["x-kept"] == "yes"
    assert "keep-alive" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_method_target_and_body_go_on_as_they_are(portal: Portal, method: str) -> None:
    echo = (
        await portal.service_page.request(method, "/echo/a%2Fb?q=%20x&q='y'", content=b"hello")
    ).json()

    assert echo["method"] == method
    assert (echo["target"], echo["query"]) == ("/echo/a%2Fb", "q=%20x&q='y'")
    assert echo["body"] == "hello"


async def test_a_body_of_unknown_length_is_streamed(portal: Portal) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    echo = (await portal.service_page.post("/echo", content=parts())).json()

    assert echo["body"] == "one two"
    assert dict(echo["headers"])["transfer-encoding"] == "chunked"


async def test_an_answer_arrives_while_it_is_made(portal: Portal) -> None:
    async with portal.service_page.stream("GET", "/stream") as response:
        parts = response.aiter_raw()
        assert await anext(parts) == b"first"
        portal.gateway.release.set()
        assert await anext(parts) == b"second"


async def test_an_answer_in_the_middle_is_finished_after_sigterm(portal: Portal) -> None:
    async with portal.service_page.stream("GET", "/stream") as response:
        parts = response.aiter_raw()
        assert await anext(parts) == b"first"
        portal.stop.set()
        await until_closed(portal.service_page_port)
        portal.gateway.release.set()
        assert [part async for part in parts] == [b"second"]


async def test_the_service_is_told_when_the_browser_leaves(portal: Portal) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await portal.service_page.get("/hang", timeout=0.2)

    await portal.gateway.gone.wait()


async def test_redirects_stay_on_the_portal(portal: Portal) -> None:
    response = await portal.service_page.get("/moved")

    assert response.status_code == 302
    assert response.headers["location"] == "/echo?x=1"


async def test_without_a_route_the_page_says_so_and_tries_again(portal: Portal) -> None:
    portal.kubernetes.ingress = None

    page = await portal.service_page.get("/", headers={"Accept": "text/html"})
    api = await portal.service_page.get("/sdapi/v1/options")

    assert page.status_code == api.status_code == 503
    assert "no route yet" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert "no route yet" in api.json()["error"]


async def test_a_gateway_that_does_not_answer_is_looked_for_again(portal: Portal) -> None:
    good = portal.kubernetes.ingress
    portal.kubernetes.ingress = ingress("127.0.0.1", 1)

    refused = await portal.service_page.get("/echo")
    portal.kubernetes.ingress = good
    answered = await portal.service_page.get("/echo")

    assert refused.status_code == 502
    assert "127.0.0.1:1" in refused.json()["error"]
    assert answered.status_code == 200


async def test_a_websocket_goes_through(portal: Portal) -> None:
    url = f"ws://127.0.0.1:{portal.service_page_port}/socket"
    cookie = {"Cookie": "sd=pod-a"}
    async with connect(
        url, subprotocols=["other", "graphs"], additional_headers=cookie, proxy=None
    ) as socket:
        assert socket.subprotocol == "graphs"
        assert await socket.recv() == f"{HOST}pod-a"
        await socket.send("cat")
        assert await socket.recv() == "CAT"
        await socket.send("bye")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4000, "as you wish")


@pytest.mark.parametrize("path", ["/no-socket", "/socket"])
async def test_a_websocket_that_cannot_be_opened_is_refused(portal: Portal, path: str) -> None:
    if path == "/socket":
        portal.kubernetes.ingress = None
    with pytest.raises(InvalidStatus):
        await connect(f"ws://127.0.0.1:{portal.service_page_port}{path}", proxy=None)
