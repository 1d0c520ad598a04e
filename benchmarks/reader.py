"""Reads a gateway's access records as the platform does, in a process of its own.

    python -m benchmarks.reader SOCKET      # answers each line on stdin with the number read

What it takes of the processor is what reading them costs: taking them apart, the counts per
revision, the sessions, and the histograms of the last hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import uvloop

from tidegate.gateway.access import AccessRecords
from tidegate.gateway.listener import listening
from tidegate.gateway.sessions import Sessions
from tidegate.kube.clock import SystemClock
from tidegate.observability.store import Store


async def serve(socket: Path) -> None:
    """Read until stdin ends."""
    clock = SystemClock()
    records, store, sessions = AccessRecords(), Store(clock), Sessions(clock)
    read = 0

    def count(batch: list) -> None:
        nonlocal read
        read += len(batch)

    for subscriber in (count, sessions.take, store.take):
        records.subscribe(subscriber)
    keeping = asyncio.create_task(store.run())
    async with listening(socket, records.serve):
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(read, flush=True)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
