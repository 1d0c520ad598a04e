"""Instructions that HAProxy's own code takes per request: the same however busy the machine is.

    python -m benchmarks.instructions [--without PATTERN ...]

Needs valgrind. Each case runs under callgrind twice, with fewer and with more requests on one
connection, and the difference leaves the start out. What the kernel does is not counted. With
`--without` the gateway without a limit is measured again without the lines of its configuration in
which the regular expression is found: that is what those lines cost.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.gateway import _free_port, _haproxy, _pods_config, _publish, _static_config
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.haproxy import binary
from tidegate.gateway.haproxy import config as configuration
from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.model import HostRoute, Split
from tidegate.gateway.routes import entries
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.clock import SystemClock
from tidegate.kube.objects import Key

_FEW, _MANY = 100, 600
_SECONDS = 60
_STATIC = {"static": "bare", "usual": "usual", "stages": "stages"}
_LIMITS = {"free": 0, "limited": 16}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=[])
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("this benchmark needs valgrind: install it (Debian: apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as directory:
        pods = [_free_port()]
        with _haproxy(Path(directory) / "pods.cfg", _pods_config(pods)):
            static = await _per_request(Path(directory), pods, "static")
            _print("static HAProxy", static, static)
            for name, case in (
                ("static HAProxy, headers and log", "usual"),
                ("static HAProxy, two stages", "stages"),
                ("gateway, no limit", "free"),
                ("gateway, concurrency 16", "limited"),
            ):
                found = await _per_request(Path(directory), pods, case)
                _print(name, found, static)
            for pattern in options.without:
                found = await _per_request(Path(directory), pods, "free", without=pattern)
                _print(f"gateway, no limit, without {pattern!r}", found, static)


def _print(name: str, found: float, static: float) -> None:
    print(f"{name:50} {found:8,.0f} instructions per request, {found / static:.2f} of static")


async def _per_request(directory: Path, pods: list[int], name: str, *, without: str = "") -> float:
    totals: list[int] = []
    for number in (_FEW, _MANY):
        with tempfile.TemporaryDirectory(dir=directory) as place:
            totals.append(await _count(Path(place), pods, name, number, without))
    return (totals[1] - totals[0]) / (_MANY - _FEW)


async def _count(place: Path, pods: list[int], name: str, number: int, without: str) -> int:
    """Instructions of a HAProxy from its start to its end with so many requests between."""
    port, out = _free_port(), place / "callgrind.out"
    if name in _STATIC:
        file = place / "static.cfg"
        file.write_text(_static_config(port, pods, 1, kind=_STATIC[name]))
        async with _callgrind(file, out):
            await asyncio.to_thread(_ask, port, name, number)
    else:
        plane = _plane(place, port, without)
        async with _callgrind(plane.paths.config, out):
            await _route(plane, pods, name)
            await asyncio.to_thread(_ask, port, name, number)
    found = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    if found is None:
        sys.exit("callgrind wrote no total")
    return int(found[1])


def _plane(place: Path, port: int, without: str) -> DataPlane:
    settings = GatewaySettings(
        data_dir=place, port=port, limited_slots=64, unlimited_slots=64, stages=64, threads=1
    )
    plane = DataPlane(settings, SystemClock())
    if without:
        lines = plane.config.text.splitlines(keepends=True)
        kept = [line for line in lines if not re.search(without, line)]
        plane.config = replace(plane.config, text="".join(kept))
    configuration.write(plane.config, plane.paths)
    for path in (plane.paths.routes_map, plane.paths.revisions_map):
        path.touch()
    return plane


async def _route(plane: DataPlane, pods: list[int], name: str) -> None:
    async with asyncio.timeout(_SECONDS):
        while True:
            try:
                await plane.read_back()
            except AdminError:
                await asyncio.sleep(0.1)
            else:
                break
    _publish(plane, name, _LIMITS[name], pods)
    route = HostRoute(f"{name}.localhost", "", (Split(Key("bench", name), 100),))
    plane.set_routes({}, entries([route], plane.slots.of, name="bench"))
    await plane.flush()


@asynccontextmanager
async def _callgrind(file: Path, out: Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
        str(binary.find()), "-db", "-f", str(file), stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def _ask(port: int, name: str, number: int) -> None:
    """So many requests on one connection, one after the other."""
    request = f"GET / HTTP/1.1\r\nHost: {name}.localhost\r\n\r\n".encode()
    with _connected(port) as connection:
        for _ in range(number):
            connection.sendall(request)
            data = b""
            while not data.endswith(b"\r\n\r\nok"):
                more = connection.recv(1 << 16)
                if not more or b"HTTP/1.1 200" not in data + more:
                    sys.exit(f"{name} was answered {(data + more)[:200]!r}")
                data += more


def _connected(port: int) -> socket.socket:
    for _ in range(10 * _SECONDS):
        probe = socket.socket()
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return probe
        probe.close()
        # Under valgrind HAProxy takes seconds to start.
        time.sleep(0.1)
    sys.exit(f"nobody listens on port {port}")


if __name__ == "__main__":
    asyncio.run(main())
