"""The store when the machine fails it: kill -9 under load, and a disk without room."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tidegate.apiserver.storage.store import Store
from tidegate.kube.errors import ServiceUnavailable
from tidegate.kube.objects import Key

ROUNDS = int(os.environ.get("TIDEGATE_CRASH_ROUNDS", "5"))

# Eight writers, each on one object of its own and on ever new ones, every third of which it deletes
# again; a line per acknowledgement.
WRITER = """
import asyncio, sys
from pathlib import Path
from tidegate.apiserver.storage.store import Store
from tidegate.kube.objects import Key

def acknowledge(name, stored):
    sys.stdout.write(f"{name} {stored.version}\\n")
    sys.stdout.flush()

async def writer(store, number, round):
    count = 0
    while True:
        count += 1
        brief = "d" if count % 3 == 0 else "w"
        for name in (f"w{number}", f"{brief}{number}-{round}-{count}"):
            obj = {"metadata": {"name": name, "namespace": "a"}, "pad": "x" * 500}
            stored = await store.put("/things", Key("a", name), obj)
            acknowledge(name, stored)
        if brief == "d":
            acknowledge("-" + name, await store.delete("/things", Key("a", name), stored.object))

async def main():
    async with Store(Path(sys.argv[1])) as store:
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(writer(store, number, sys.argv[2]))

asyncio.run(main())
"""


async def write_until_killed(path: Path, number: int) -> list[tuple[str, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), str(number), stdout=asyncio.subprocess.PIPE
    )
    lines = [await process.stdout.readline() for _ in range(40 + number)]
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    await process.wait()
    complete = [*lines, *(line for line in rest.splitlines(keepends=True) if line[-1:] == b"\n")]
    return [(name.decode(), int(version)) for name, version in map(bytes.split, complete)]


@pytest.mark.timeout(120 + 15 * ROUNDS)
async def test_every_acknowledged_write_survives_kill_9(tmp_path):
    path = tmp_path / "store.db"
    acknowledged: dict[str, int] = {}
    highest = 0
    for number in range(ROUNDS):
        written = await write_until_killed(path, number)
        assert written
        assert min(version for _, version in written) > highest
        acknowledged.update(written)
        highest = max(acknowledged.values())
        async with Store(path) as store:
            assert store.version >= highest
            highest = store.version
            for name, version in acknowledged.items():
                found = store.get("/things", Key("a", name.removeprefix("-")))
                if name.startswith("-"):
                    assert found is None
                    continue
                if name.startswith("d") and found is None:
                    continue  # the delete, too, has come to the disk
                assert found is not None
                assert found.version >= version
                assert found.object["metadata"]["resourceVersion"] == str(found.version)
                assert len(found.object["pad"]) == 500


def thing(name: str, size: int) -> dict:
    return {"metadata": {"name": name, "namespace": "a"}, "pad": "x" * size}


async def fill(store: Store, accepted: list[str]) -> None:
    for number in range(200):
        await store.put("/things", Key("a", f"t{number}"), thing(f"t{number}", 4000))
        accepted.append(f"t{number}")


async def test_a_full_disk_refuses_writes_serves_reads_and_recovers(tmp_path):
    async with Store(tmp_path / "store.db", max_pages=64) as store:
        accepted: list[str] = []
        with pytest.raises(ServiceUnavailable, match="disk is full"):
            await fill(store, accepted)
        assert accepted
        before = store.version
        assert {s.object["metadata"]["name"] for s in store.items("/things")} == set(accepted)
        assert store.newest("/things", Key("a", f"t{len(accepted)}")) is None

        results = await asyncio.gather(
            *(store.put("/things", Key("a", f"u{n}"), thing(f"u{n}", 4000)) for n in range(10)),
            return_exceptions=True,
        )
        assert all(isinstance(result, ServiceUnavailable) for result in results)
        assert store.version == before

        await store.limit_pages(10_000)
        stored = await store.put("/things", Key("a", "after"), thing("after", 4000))
        assert stored.version > before
        accepted.append("after")
    async with Store(tmp_path / "store.db") as store:
        assert {s.object["metadata"]["name"] for s in store.items("/things")} == set(accepted)


async def test_writes_that_build_on_a_refused_one_are_refused_with_it(tmp_path):
    async with Store(tmp_path / "store.db", max_pages=20) as store:
        await store.put("/things", Key("a", "x"), thing("x", 10))
        cursor = store.cursor("/things")
        big = asyncio.ensure_future(store.put("/things", Key("a", "x"), thing("x", 400_000)))
        await asyncio.sleep(0)
        on_top = asyncio.ensure_future(store.put("/things", Key("a", "x"), thing("x", 20)))
        results = await asyncio.gather(big, on_top, return_exceptions=True)
        assert all(isinstance(result, ServiceUnavailable) for result in results)
        assert len(store.newest("/things", Key("a", "x")).object["pad"]) == 10
        assert cursor.poll() == []
