"""The store: against a model, under concurrency, and its event log."""

from __future__ import annotations

import asyncio
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.apiserver.storage.database import DatabaseError
from tidegate.apiserver.storage.log import EventLog
from tidegate.apiserver.storage.store import Store
from tidegate.apiserver.storage.stored import Event, Stored
from tidegate.kube.client import EventType
from tidegate.kube.errors import Gone, ServiceUnavailable
from tidegate.kube.objects import Key

BUCKETS = ("/pods", "apps/deployments")
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(BUCKETS),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "y", "z"]),
        st.one_of(st.none(), st.integers(0, 9)),
    ),
    max_size=40,
)


def thing(name: str, value: int, namespace: str = "a") -> dict:
    return {"metadata": {"name": name, "namespace": namespace}, "value": value}


async def write(store: Store, operation) -> Stored | None:
    bucket, namespace, name, value = operation
    key = Key(namespace, name)
    if value is not None:
        return await store.put(bucket, key, thing(name, value, namespace))
    newest = store.newest(bucket, key)
    return await store.delete(bucket, key, newest.object) if newest else None


def contents(store: Store) -> dict:
    return {
        (bucket, s.object["metadata"]["namespace"], s.object["metadata"]["name"]): (
            s.object["value"],
            s.version,
        )
        for bucket in BUCKETS
        for s in store.items(bucket)
    }


@settings(max_examples=25, deadline=None)
@given(OPERATIONS, st.booleans())
def test_store_agrees_with_a_model_and_with_itself_reopened(operations, at_once):
    async def scenario(path: Path) -> None:
        model: dict = {}
        async with Store(path) as store:
            cursors = {bucket: store.cursor(bucket) for bucket in BUCKETS}
            if at_once:
                results = await asyncio.gather(*(write(store, op) for op in operations))
            else:
                results = [await write(store, op) for op in operations]
            for (bucket, namespace, name, value), stored in zip(operations, results, strict=True):
                if value is not None:
                    model[bucket, namespace, name] = (value, stored.version)
                else:
                    model.pop((bucket, namespace, name), None)
            assert contents(store) == model
            versions = [stored.version for stored in results if stored]
            assert versions == sorted(set(versions))
            seen = [event for cursor in cursors.values() for event in cursor.poll()]
            assert sorted(event.version for event in seen) == versions
            last = store.version
        async with Store(path) as store:
            assert contents(store) == model
            assert store.version == last
            again = await store.put("/pods", Key("a", "new"), thing("new", 1))
            assert again.version > last

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory) / "store.db"))


async def test_writers_see_what_is_on_its_way_and_readers_do_not(tmp_path):
    async with Store(tmp_path / "store.db") as store:
        writing = asyncio.ensure_future(store.put("/pods", Key("a", "x"), thing("x", 1)))
        await asyncio.sleep(0)
        assert store.newest("/pods", Key("a", "x")) is not None
        assert [s.object["value"] for s in store.newest_items("/pods")] == [1]
        assert store.get("/pods", Key("a", "x")) is None
        stored = await writing
        assert store.get("/pods", Key("a", "x")) is stored


async def test_a_writer_that_goes_away_does_not_undo_its_write(tmp_path):
    async with Store(tmp_path / "store.db") as store:
        writing = asyncio.ensure_future(store.put("/pods", Key("a", "x"), thing("x", 1)))
        await asyncio.sleep(0)
        writing.cancel()
        await store.wait_idle()
        assert store.get("/pods", Key("a", "x")) is not None


async def test_close_finishes_the_writes_on_their_way_and_refuses_new_ones(tmp_path):
    store = Store(tmp_path / "store.db")
    await store.open()
    writing = asyncio.ensure_future(store.put("/pods", Key("a", "x"), thing("x", 1)))
    await asyncio.sleep(0)
    await store.close()
    assert (await writing).version == 1
    with pytest.raises(ServiceUnavailable):
        await store.put("/pods", Key("a", "y"), thing("y", 1))


async def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(DatabaseError, match=r"store\.db"):
        await Store(path).open()


async def test_the_file_is_readable_by_its_owner_only(tmp_path):
    async with Store(tmp_path / "data" / "store.db"):
        assert (tmp_path / "data" / "store.db").stat().st_mode & 0o077 == 0


def event(version: int) -> Event:
    return Event(EventType.ADDED, Stored({}, b"x" * 100, version), None)


def filled_log(count: int, **bounds) -> EventLog:
    log = EventLog(0, 0, **bounds)
    for version in range(1, count + 1):
        log.append(event(version))
    log.advance(count)
    return log


@pytest.mark.parametrize("bounds", [{"max_events": 10}, {"max_bytes": 1000}])
def test_the_log_is_bounded_and_tells_who_is_too_late(bounds):
    log = filled_log(25, **bounds)
    assert [e.version for e in log.cursor(15).poll()] == list(range(16, 26))
    with pytest.raises(Gone):
        log.cursor(14)


def test_a_slow_cursor_is_told_so_and_the_others_go_on():
    log = filled_log(5, max_events=10)
    slow, quick = log.cursor(0), log.cursor(0)
    assert len(quick.poll()) == 5
    for version in range(6, 26):
        log.append(event(version))
        log.advance(version)
        assert [e.version for e in quick.poll()] == [version]
    with pytest.raises(Gone):
        slow.poll()


async def test_next_waits_for_an_event_and_gives_up_after_its_timeout():
    log = filled_log(1)
    cursor = log.cursor(1)
    assert await cursor.next(timeout=0.01) == []
    waiting = asyncio.ensure_future(cursor.next())
    await asyncio.sleep(0)
    log.append(event(2))
    log.advance(2)
    assert [e.version for e in await waiting] == [2]
    assert cursor.version == 2


async def test_an_object_takes_the_memory_of_its_bytes(tmp_path):
    """Beside them and what the test has made before, only little is kept."""
    sizes = (2_000, 100_000)
    things = {size: {"metadata": {"name": f"x{size}"}, "value": "x" * size} for size in sizes}
    async with Store(tmp_path / "state.db") as store:
        await store.put("/pods", Key("", "first"), {"metadata": {"name": "first"}})
        for size, made in things.items():
            tracemalloc.start()
            try:
                stored = await store.put("/pods", Key("", f"x{size}"), made)
                taken = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            assert taken < len(stored.raw) + 8_000


async def test_objects_with_the_same_labels_share_them(tmp_path):
    def labelled(name: str, **labels: str) -> dict:
        return {"metadata": {"name": name, "labels": labels}}

    async with Store(tmp_path / "state.db") as store:
        one, two, other = [
            await store.put("/pods", Key("", made["metadata"]["name"]), made)
            for made in (labelled("a", x="1"), labelled("b", x="1"), labelled("c", x="2"))
        ]
    assert one.labels is two.labels == {"x": "1"}
    assert other.labels == {"x": "2"}


async def test_few_large_objects_are_kept_parsed(tmp_path):
    big = 600 * 1024
    async with Store(tmp_path / "state.db") as store:
        for name in ("a", "b"):
            made = {"metadata": {"name": name}, "value": name * big}
            await store.put("/things", Key("", name), made)
        first, last = (store.get("/things", Key("", name)) for name in ("a", "b"))
        assert first is not None
        assert last is not None
        kept = last.object
        assert kept is last.object
        tracemalloc.start()
        try:
            assert first.object["value"] == "a" * big
            parsed_anew = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert parsed_anew > big


def test_the_lines_of_a_watch_are_kept_for_a_while():
    raw = b'"%s"' % (b"x" * 1024 * 1024)
    events = [
        Event(EventType.ADDED, Stored(thing("x", version), raw, version), None)
        for version in range(1, 4)
    ]
    first = events[0].line()
    assert events[0].line() is first
    for event in events[1:]:
        event.line()
    assert events[2].line() is events[2].line()
    assert events[0].line() == first
    assert events[0].line() is not first
