"""The parts without I/O: percentiles, samples, pictures, times and headers."""

from __future__ import annotations

import random

import pytest

from portal.pressure.images import ImageShelf
from portal.pressure.sender import times_of
from portal.pressure.state import MOST_SAMPLES, Answer, Run, RunSpec
from portal.pressure.statistics import percentile, percentiles, throughput
from portal.proxy.headers import response_headers


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (90, 90), (95, 95), (99, 99), (100, 100), (0.5, 1)]
)
def test_the_percentile_is_a_value_that_occurred(percent: float, expected: float) -> None:
    values = [float(value) for value in range(1, 101)]
    random.Random(1).shuffle(values)

    assert percentile(sorted(values), percent) == expected


def test_percentiles_of_little_or_nothing() -> None:
    assert percentiles([]) == {"p50": None, "p90": None, "p95": None, "p99": None}
    assert percentiles([3.0, 1.0]) == {"p50": 1.0, "p90": 3.0, "p95": 3.0, "p99": 3.0}
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_throughput_before_any_time_has_passed() -> None:
    assert throughput(3, 0.0) == 0.0
    assert throughput(3, 2.0) == 1.5


def run_of(total: int) -> Run:
    return Run("id", RunSpec("cat", concurrency=2, total=total), seeds=range(total))


def test_figures_count_only_what_is_done() -> None:
    run = run_of(4)
    for number in (0, 1, 2):
        run.begin(number, at=1.0)
    run.succeed(0, at=3.0, answer=Answer(b"", "pod-a", 0.5, None))
    run.fail(1, at=9.0, reason="no")

    summary = run.summary(now=10.0)

    assert (summary["done"], summary["failed"], summary["in_flight"]) == (1, 1, 1)
    assert (summary["p50"], summary["p99"], summary["throughput"]) == (2.0, 2.0, 0.1)
    assert summary["pods_used"] == 1
    run.finish(at=11.0)
    assert run.summary(now=50.0)["elapsed"] == 11.0
    assert [shot.state for shot in run.shots] == ["done", "failed", "failed", "skipped"]


def test_a_page_is_told_only_what_changed() -> None:
    run = run_of(3)
    assert len(run.changed_since(-1)) == 3
    before = run.version
    run.begin(1, at=0.0)

    assert [shot.number for shot in run.changed_since(before)] == [1]


def test_one_request_after_the_other_leaves_no_notch_in_the_chart() -> None:
    run = run_of(3)
    run.begin(0, at=0.0)
    run.sample(0.0, ready=1, starting=0)
    run.fail(0, at=1.0, reason="no")
    run.sample(1.0, ready=1, starting=0)
    run.begin(1, at=1.001)
    run.sample(1.001, ready=1, starting=0)

    assert [(sample.at, sample.in_flight) for sample in run.samples] == [(0.0, 1), (1.0, 1)]


def test_the_chart_of_a_long_run_stays_bounded() -> None:
    run = run_of(1)
    for second in range(10 * MOST_SAMPLES):
        run.sample(float(second), ready=second % 7, starting=0)

    assert MOST_SAMPLES / 2 <= len(run.samples) <= MOST_SAMPLES
    assert run.samples[0].at == 0.0
    assert run.samples[-1].at == 10 * MOST_SAMPLES - 1
    assert run.peak_ready == 6


def test_the_oldest_pictures_go_when_memory_is_full() -> None:
    shelf = ImageShelf(most_bytes=10)
    for number in range(4):
        shelf.put(number, bytes(4))

    assert [shelf.get(number) for number in range(4)] == [None, None, bytes(4), bytes(4)]


@pytest.mark.parametrize(
    ("headers", "queued", "service"),
    [
        ({}, None, None),
        ({"Tidegate-Queued-Ms": "1200"}, 1.2, None),
        ({"Tidegate-Queued-Ms": "soon"}, None, None),
        ({"Server-Timing": "queue;dur=250, service;dur=750.5"}, 0.25, 0.7505),
        ({"Server-Timing": 'cache, queue;desc="held";dur=8'}, 0.008, None),
        ({"Server-Timing": "db;dur=5", "Tidegate-Queued-Ms": "0"}, 0.0, None),
    ],
)
def test_queue_and_service_times(
    headers: dict[str, str], queued: float | None, service: float | None
) -> None:
    assert times_of(headers) == (queued, service)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"http://sd.example.com/a?b=1#c", b"/a?b=1#c"),
        (b"https://SD.example.com:8443", b"/"),
        (b"/already/local", b"/already/local"),
        (b"https://elsewhere.example.org/a", b"https://elsewhere.example.org/a"),
    ],
)
def test_redirects_are_translated(location: bytes, expected: bytes) -> None:
    headers = response_headers([(b"Location", location)], service_host="sd.example.com")

    assert headers == [(b"location", expected)]
