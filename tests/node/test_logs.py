"""The logs of containers as the API asks for them, while they are written and rotated."""

from __future__ import annotations

# The tests write small log files.
import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.virtual_clock import VirtualClock, settle
from tidegate.kube.clock import SystemClock, rfc3339_micro
from tidegate.kube.errors import BadRequest
from tidegate.kube.informer import Informer
from tidegate.kube.resources import PODS
from tidegate.node.logs import LogSource
from tidegate.node.runtime.process.container_logs import LOG_LIMIT, LogFile, Pump

NOW = 1_700_000_000.0


def record(text: str, *, age: float = 0, tag: str = "F", stream: str = "stdout") -> str:
    return f"{rfc3339_micro(NOW - age)[:-1]}123Z {stream} {tag} {text}\n"


class Scene:
    """A pod's directory and its log."""

    def __init__(self, path: Path, clock: Any, containers: tuple[str, ...] = ("main",)) -> None:
        informer = Informer(None, PODS, clock=clock)  # type: ignore[arg-type]
        pod = {
            "metadata": {"name": "a", "namespace": "default", "uid": "u1"},
            "spec": {"containers": [{"name": name} for name in containers]},
        }
        informer._objects[("default", "a")] = pod  # type: ignore[index]
        self.source = LogSource(path, informer, clock=clock)
        self.place = path / "pods" / "u1" / "containers" / "main" / "0"
        self.place.mkdir(parents=True)
        self.log = self.place / "log"

    def write(self, *records: str) -> None:
        with self.log.open("a") as file:
            file.write("".join(records))

    async def read(self, **options: Any) -> bytes:
        return b"".join([d async for d in self.source.stream("default", "a", **options)])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, VirtualClock(NOW))


async def test_partial_records_make_one_line(scene: Scene) -> None:
    scene.write(record("ab", tag="P"), record("cd", tag="P"), record("e"), record("two"))
    assert await scene.read() == b"abcde\ntwo\n"
    assert await scene.read(tail_lines=2) == b"abcde\ntwo\n"
    assert await scene.read(tail_lines=0) == b""
    stamped = (await scene.read(timestamps=True)).splitlines()
    assert [line.split(b" ")[1] for line in stamped] == [b"abcde", b"two"]


async def test_lines_by_age(scene: Scene) -> None:
    scene.write(record("old", age=100), record("new", age=5))
    assert await scene.read(since_seconds=10) == b"new\n"


async def test_the_rotated_file_comes_first(scene: Scene) -> None:
    scene.log.with_name("log.1").write_text(record("before"))
    scene.write(record("after"))
    assert await scene.read() == b"before\nafter\n"


async def test_a_damaged_record_is_left_out(scene: Scene) -> None:
    scene.write("garbage\n", record("good"), "2024-01-01T00:00:00Z stdout F half")
    assert await scene.read() == b"good\n"


async def test_following_goes_over_a_rotation_and_ends_with_the_container(tmp_path: Path) -> None:
    scene = Scene(tmp_path, SystemClock())
    scene.write(record("one"))
    seen: list[bytes] = []

    async def follow() -> None:
        async for data in scene.source.stream("default", "a", follow=True):
            seen.append(data)  # noqa: PERF401 - looked at while it grows

    following = asyncio.create_task(follow())

    async def until(text: bytes) -> None:
        async with asyncio.timeout(5):
            while b"".join(seen) != text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    await until(b"one\n")
    scene.write(record("two"))
    scene.log.rename(scene.log.with_name("log.1"))
    scene.write(record("three"))
    await until(b"one\ntwo\nthree\n")
    scene.write(record("four"))
    (scene.place / "exit.json").write_text("{}")
    await following
    assert b"".join(seen) == b"one\ntwo\nthree\nfour\n"


async def test_following_can_be_left(scene: Scene) -> None:
    scene.write(record("one"))
    stream = scene.source.stream("default", "a", follow=True)
    async with contextlib.aclosing(stream):
        assert await anext(stream) == b"one\n"
    await settle()


async def test_a_container_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    scene = Scene(tmp_path, VirtualClock(NOW), ("main", "other"))
    scene.write(record("x"))
    with pytest.raises(BadRequest, match=r"choose one of: \[main other\]"):
        await scene.read()
    assert await scene.read(container="main") == b"x\n"
    with pytest.raises(BadRequest, match="waiting to start"):
        await scene.read(container="other")


def test_a_full_disk_does_not_end_who_copies_the_logs() -> None:
    source, sink = os.pipe()
    os.set_blocking(source, False)
    pump = Pump(source, "stdout", LogFile("/dev/full"))
    heard: list[bytes] = []
    pump.listener = heard.append
    os.write(sink, b"hello\n")
    assert pump.copy()
    os.close(sink)
    assert not pump.copy()
    pump.close()
    assert heard == [b"hello\n"]


def test_log_files_rotate_at_their_limit(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(str(path)).join()
    chunk = b"x" * (LOG_LIMIT // 4)
    for _ in range(9):
        log.write(chunk)
    log.leave()
    assert path.stat().st_size == len(chunk)
    assert path.with_name("log.1").stat().st_size == LOG_LIMIT
