"""Who may read the console."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import HTTPConnection

from tests.console.browser import browser
from tests.console.world import World, running_console
from tidegate.console.access import Guard, load_or_make_token
from tidegate.kube.errors import UserError
from tidegate.web.server import listen


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_console(tmp_path) as running:
        yield running


@pytest.fixture
async def stranger(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=world.url, timeout=10) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/services/default/demo",
        "/services/default/demo/yaml",
        "/pods/default/p/log",
        "/pods/default/p/log.txt",
        "/live/services",
        "/live/pods/default/p/log",
        "/metrics",
        "/nowhere",
    ],
)
async def test_without_the_token_nothing_is_shown(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path)
    assert answer.status_code == 401
    assert "token" in answer.text


async def test_the_url_gives_a_cookie_and_forgets_the_token(
    world: World, stranger: httpx.AsyncClient
) -> None:
    answer = await stranger.get(world.console.login_url)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert world.token not in cookie
    assert (await stranger.get("/")).status_code == 200


@pytest.mark.parametrize("path", ["/?token=wrong", "/login?token=wrong", "/login"])
async def test_a_wrong_token_is_told_so(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path)
    assert answer.status_code == 401
    assert "That is not the token" in answer.text
    assert "set-cookie" not in answer.headers


async def test_prometheus_reads_with_a_bearer_token(
    world: World, stranger: httpx.AsyncClient
) -> None:
    bearer = {"Authorization": f"Bearer {world.token}"}
    answer = await stranger.get("/metrics", headers=bearer)
    assert answer.status_code == 200
    assert "process_resident_memory_bytes" in answer.text
    wrong = {"Authorization": "Bearer wrong"}
    assert (await stranger.get("/metrics", headers=wrong)).status_code == 401


async def test_foreign_names_are_refused_even_with_the_cookie(world: World) -> None:
    async with browser(world) as client:
        for host in ("evil.example", "127.0.0.1.evil.example:8081", "localhost.evil.example", ""):
            answer = await client.get("/", headers={"Host": host})
            assert answer.status_code in (400, 421)
        for host in ("localhost", "console.localhost:8081", "[::1]:8081", "192.0.2.7"):
            assert (await client.get("/", headers={"Host": host})).status_code == 200


async def test_every_answer_has_the_security_headers(
    world: World, stranger: httpx.AsyncClient
) -> None:
    async with browser(world) as client:
        answers = [
            await client.get("/"),
            await client.get("/static/console.css"),
            await client.get("/nowhere"),
            await stranger.get("/"),
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(world: World, method: str) -> None:
    async with browser(world) as client:
        for path in ("/", "/services/default/demo", "/metrics", "/login"):
            assert (await client.request(method, path)).status_code == 405


async def test_files_outside_the_static_ones_are_not_served(world: World) -> None:
    async with browser(world) as client:
        for path in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static//etc/passwd"):
            assert (await client.get(path)).status_code == 404


def test_the_token_is_for_its_owner_only_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "console-token"
    token = load_or_make_token(path)
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_token(path) == token


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "console-token"
    load_or_make_token(path)
    path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        load_or_make_token(path)


@pytest.mark.parametrize("content", ["", "short"])
def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "console-token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match="remove the file"):
        load_or_make_token(path)


def test_a_busy_port_is_named() -> None:
    taken = listen("127.0.0.1", 0, purpose="the console", option="--console-port")
    try:
        with pytest.raises(UserError, match="--console-port"):
            listen(
                "127.0.0.1",
                taken.getsockname()[1],
                purpose="the console",
                option="--console-port",
            )
    finally:
        taken.close()


def test_a_name_of_ones_own_can_be_allowed() -> None:
    guard = Guard("x" * 32, port=1, host_names=("Console.Example",))
    assert guard.is_ours("console.example:8081")
    assert not guard.is_ours("example")


def test_odd_credentials_are_no_error() -> None:
    guard = Guard("x" * 32, port=1, host_names=())
    for value in (b"Bearer", b"Bearer \xff", b"Basic abc", b""):
        scope = {"type": "http", "headers": [(b"authorization", value), (b"cookie", b"\xff=\xff")]}
        assert not guard.may_read(HTTPConnection(scope))
