"""Access records, from the bytes HAProxy sends to the counts."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.world import World, running_gateway
from tidegate.gateway.access import AccessRecord, parse, split_frames
from tidegate.kube.objects import Key


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(0, 4000), max_size=5))
def test_frames_come_out_whole_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%d %b" % (len(line), line) for line in lines)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found: list[bytes] = []
    pending = b""
    for start, end in pairwise(edges):
        whole, pending = split_frames(pending + data[start:end])
        found += whole
    assert found == lines
    assert pending == b""


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="no length"):
        split_frames(b"GET / HTTP/1.1\r\n")


def test_a_line_that_is_no_record_is_left_out() -> None:
    assert parse(b"Proxy http started.") is None


async def test_each_answered_request_is_recorded(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    await world.route("sd", {"sd-00001": 100})
    batches: list[AccessRecord] = []
    world.gateway.records.subscribe(batches.extend)
    cold = await world.send("sd", "/work?ms=20")
    await world.demand("sd-00001", held=1)
    pod = await world.pod("sd-00001", "sd-a")
    await cold.answer()
    left = await world.send("sd", "/work?ms=100")
    await world.working(pod)
    left.leave(reset=True)
    await world.fetch("sd", "/status?code=500")

    known = world.gateway.records
    await world.api.eventually(lambda: known.of(Key("default", "sd-00001")).requests == 3)

    counts = known.of(Key("default", "sd-00001"))
    assert counts.cold_starts == 1
    assert counts.abandoned == 1
    first = next(record for record in batches if record.cold_start)
    assert first.pod == "sd-a"
    assert first.status == 200
    assert first.queued_ms > 0
    assert first.cold_start > 0
    assert first.service_ms >= 20
    assert counts.by_class[2] == 1
    assert counts.by_class[5] == 1


async def test_times_are_those_of_this_machine_however_long_haproxy_took_to_start(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, limited_slots=2048, stages=2048) as world:
        await world.revision("sd-00001", limit=1)
        await world.route("sd", {"sd-00001": 100})
        batches: list[AccessRecord] = []
        world.gateway.records.subscribe(batches.extend)
        before = time.time()
        cold = await world.send("sd")
        await world.demand("sd-00001", held=1)
        seen = time.time()
        await world.pod("sd-00001", "sd-a")
        await cold.answer()
        after = time.time()
        await world.api.eventually(lambda: len(batches) == 1)

    (record,) = batches
    slack = 0.08
    assert before - slack <= record.held_since <= seen + slack
    assert record.held_since + record.cold_start <= after + slack


async def test_records_come_again_when_the_agent_comes_back(world: World) -> None:
    await world.service("echo")
    await world.end_agent()
    await world.fetch("echo")
    await world.start()

    async def counted() -> bool:
        await world.fetch("echo")
        return world.gateway.records.of(Key("default", "echo-00001")).requests > 0

    await world.api.eventually(counted, timeout=15)
    await asyncio.sleep(0)
