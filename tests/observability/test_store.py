"""What is kept of the last hours, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.requests import DEMO, OTHER, Answer, Waiting
from tests.support.virtual_clock import VirtualClock
from tidegate.kube.objects import Key
from tidegate.observability.slots import Gauges
from tidegate.observability.store import Limits, Store


class Hand:
    """A clock that is put forward without letting tasks run."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self) -> float:
        return 1_700_000_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - Clock
        raise AssertionError("these tests run no task")


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def store(clock: Hand) -> Store:
    return Store(clock)


def pass_seconds(clock: Hand, store: Store, seconds: int) -> None:
    for _ in range(seconds):
        clock.seconds += 1
        store.tick()


def test_requests_are_counted_in_their_second(clock: Hand, store: Store) -> None:
    start = store.now
    store.take([Answer(), Answer(status=404), Answer(status=-1)])
    pass_seconds(clock, store, 2)
    store.take([Answer(status=503, total_ms=40)])
    pass_seconds(clock, store, 1)

    points = store.series([DEMO], start=start, end=start + 3, step=1)

    assert [point.classes for point in points] == [
        [1, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert points[0].success == pytest.approx(2 / 3)
    assert points[1].success is None
    assert points[2].latency.quantile(0.5) == pytest.approx(40, rel=0.01)


def test_hours_are_kept_by_ten_seconds(clock: Hand, store: Store) -> None:
    start = store.now
    for minute in range(90):
        store.take([Answer(total_ms=minute + 1)])
        pass_seconds(clock, store, 60)

    hour = store.series([DEMO], start=start, end=store.now, step=60)
    assert sum(point.requests for point in hour) == 90
    # By the second only ten minutes are left.
    seconds = store.series([DEMO], start=start, end=store.now, step=1)
    assert sum(point.requests for point in seconds) == 10


def test_history_ends_after_six_hours(clock: Hand, store: Store) -> None:
    store.take([Answer()])
    pass_seconds(clock, store, 30)
    start = store.now
    clock.seconds += 6 * 3600
    store.tick()
    assert sum(p.requests for p in store.series([DEMO], start=start - 60, end=start, step=60)) == 0
    assert store.totals()[DEMO][0].by_code == {200: 1}


def test_what_has_not_reached_a_slot_of_ten_seconds_is_seen(clock: Hand, store: Store) -> None:
    store.take([Answer()])
    pass_seconds(clock, store, 1)
    store.take([Answer()])
    points = store.series([DEMO], start=store.now - 30, end=store.now + 1, step=10)
    assert sum(point.requests for point in points) == 2


def test_gauges_last_until_they_change(clock: Hand, store: Store) -> None:
    start = store.now
    store.take_load(Waiting(in_flight=2, queued=1))
    store.take_scale(DEMO, desired=3, ready=2)
    pass_seconds(clock, store, 3)
    store.take_load(Waiting(in_flight=1))
    pass_seconds(clock, store, 2)

    points = store.series([DEMO], start=start, end=start + 5, step=1)

    both = Gauges(in_flight=2, queued=1, desired=3, ready=2)
    less = Gauges(in_flight=1, desired=3, ready=2)
    # The second of the change shows the highest.
    assert [point.gauges for point in points] == [both, both, both, both, less]
    assert store.gauges(DEMO) == less


def test_a_short_peak_is_not_lost(clock: Hand, store: Store) -> None:
    start = store.now
    store.take_load(Waiting(held=7))
    store.take_load(Waiting())
    pass_seconds(clock, store, 2)
    points = store.series([DEMO], start=start, end=start + 2, step=1)
    assert [point.gauges.held for point in points] == [7, 0]


def test_revisions_are_taken_together(clock: Hand, store: Store) -> None:
    start = store.now
    store.take([Answer(total_ms=10), Answer(revision=OTHER, total_ms=1000)])
    store.take_load(Waiting(in_flight=2))
    store.take_load(Waiting(revision=OTHER, in_flight=3))
    pass_seconds(clock, store, 1)
    (point,) = store.series([DEMO, OTHER], start=start, end=start + 1, step=1)
    assert point.requests == 2
    assert point.gauges.in_flight == 5
    assert point.latency.quantiles((0.0, 1.0)) == pytest.approx([10, 1000], rel=0.01)


def test_the_last_minute_begins_with_a_slot_and_ends_now(clock: Hand, store: Store) -> None:
    store.take([Answer()])
    pass_seconds(clock, store, 55)
    store.take([Answer()])
    recent = store.recent([DEMO], seconds=60)
    assert (recent.requests, store.now - recent.start) == (2, 55)
    pass_seconds(clock, store, 6)
    recent = store.recent([DEMO], seconds=60)
    assert (recent.requests, store.now - recent.start) == (1, 51)


def test_totals_hold_what_is_still_in_an_open_slot(clock: Hand, store: Store) -> None:
    store.take([Answer(total_ms=20, queued_ms=5), Answer(cold_start=1.5, queued_ms=1500)])
    pass_seconds(clock, store, 1)
    store.take([Answer(termination="CD"), Answer(status=503, pod="", queued_ms=-1)])

    totals, _ = store.totals()[DEMO]

    assert totals.by_code == {200: 3, 503: 1}
    assert (totals.latency.histogram.count, totals.latency.total_ms) == (4, 320)
    assert (totals.wait.histogram.count, totals.wait.total_ms) == (3, 1505)
    assert (totals.cold_starts.histogram.count, totals.cold_starts.total_ms) == (1, 1500)
    assert (totals.abandoned, totals.rejected) == (1, 1)


def test_requests_without_a_route_are_counted_apart(store: Store) -> None:
    store.take([Answer(revision=None)])
    assert store.unrouted == 1
    assert store.totals() == {}


def test_a_deleted_revision_keeps_its_past_and_loses_its_counters(
    clock: Hand, store: Store
) -> None:
    start = store.now
    store.take([Answer()])
    store.take_scale(DEMO, desired=1, ready=1)
    store.forget(DEMO)
    pass_seconds(clock, store, 1)
    assert store.totals() == {}
    assert store.series([DEMO], start=start, end=start + 1, step=1)[0].requests == 1
    clock.seconds += 7 * 3600
    store.tick()
    store.tick()
    assert store.gauges(DEMO) == Gauges()


def test_many_busy_revisions_share_the_room(clock: Hand) -> None:
    limits = Limits(fine=60, coarse=60, all_fine=100, all_coarse=100, revisions=100)
    store = Store(clock, limits)
    keys = [Key("default", f"r-{number}") for number in range(10)]
    start = store.now
    for _ in range(60):
        store.take([Answer(revision=key) for key in keys])
        pass_seconds(clock, store, 1)
    for key in keys:
        kept = sum(p.requests for p in store.series([key], start=start, end=store.now, step=1))
        assert kept == 10


def test_the_number_of_revisions_is_bounded(clock: Hand) -> None:
    store = Store(clock, Limits(revisions=3))
    for number in range(10):
        store.take([Answer(revision=Key("default", f"r-{number}"))])
    assert len(store.totals()) == 3


def test_a_revision_that_goes_while_idle_takes_no_room(
    clock: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(clock, Limits(revisions=1))
    store.take_scale(DEMO, desired=0, ready=0)
    pass_seconds(clock, store, 20)
    store.forget(DEMO)
    store.take([Answer(revision=OTHER)])
    assert list(store.totals()) == [OTHER]
    assert "too many revisions" not in caplog.text


async def test_it_sleeps_while_nothing_is_going_on() -> None:
    clock = VirtualClock()
    store = Store(clock)
    running = asyncio.create_task(store.run())
    await clock.advance(10)
    start = store.now
    store.take_load(Waiting(in_flight=1))
    await clock.advance(5)
    store.take_load(Waiting())
    await clock.advance(60)
    points = store.series([DEMO], start=start, end=start + 8, step=1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [point.gauges.in_flight for point in points] == [1, 1, 1, 1, 1, 1, 0, 0]
