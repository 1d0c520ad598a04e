"""The ledger of pods: seconds and cost, over the end of any control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.virtual_clock import VirtualClock
from tidegate.node.meter import Ledger, Meter


def meter(uid: str, started: float, price: float = 3.6) -> Meter:
    return Meter("default", f"pod-{uid}", uid, "2-4Gi", price, started)


async def test_seconds_and_cost_of_running_and_ended_pods(tmp_path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(tmp_path, clock=clock)
    ledger.start(meter("a", clock.time()))
    await clock.advance(90.5)
    ledger.start(meter("b", clock.time(), price=7.2))
    await clock.advance(10)
    ledger.end("a")
    await clock.advance(5)
    b, a = ledger.usage()
    assert (a.seconds, a.cost, a.running) == (pytest.approx(100.5), pytest.approx(0.1005), False)
    assert (b.seconds, b.cost, b.running) == (pytest.approx(15), pytest.approx(0.03), True)


async def test_ended_pods_are_known_to_the_next_control_plane(tmp_path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(tmp_path, clock=clock)
    for uid in ("a", "b"):
        ledger.start(meter(uid, clock.time()))
        await clock.advance(1)
        ledger.end(uid)
        ledger.end(uid)
    with (tmp_path / "meter" / "ledger.jsonl").open("a") as file:
        file.write('{"namespace": "torn')
    assert [usage.uid for usage in Ledger(tmp_path, clock=clock).usage()] == ["b", "a"]


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(tmp_path, clock=clock)
    path = tmp_path / "meter" / "ledger.jsonl"
    path.write_text('{"namespace": "torn')
    for uid in ("a", "b"):
        ledger.start(meter(uid, clock.time()))
        ledger.end(uid)
    assert [usage.uid for usage in Ledger(tmp_path, clock=clock).usage()] == ["b", "a"]
    assert path.read_text().count("\n\n") == 0


def test_a_pod_stays_open_until_its_end_is_written_down(tmp_path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(tmp_path, clock=clock)
    ledger.start(meter("a", clock.time()))
    obstacle = tmp_path / "meter" / "ledger.jsonl"
    obstacle.mkdir()
    with pytest.raises(OSError, match="directory"):
        ledger.end("a")
    assert [usage.running for usage in ledger.usage()] == [True]
    obstacle.rmdir()
    ledger.end("a")
    assert [usage.running for usage in Ledger(tmp_path, clock=clock).usage()] == [False]


def test_a_pod_never_costs_less_than_nothing(tmp_path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(tmp_path, clock=clock)
    ledger.start(meter("a", clock.time() + 100))
    [usage] = ledger.usage()
    assert (usage.seconds, usage.cost) == (0, 0)


async def test_what_was_written_down_is_not_counted_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    ledger = Ledger(tmp_path, clock=clock)
    began = clock.time()
    ledger.start(meter("a", began))
    await clock.advance(10)
    ledger.end("a")
    later = Ledger(tmp_path, clock=clock)
    later.start(meter("a", began))
    await clock.advance(10)
    later.end("a")
    assert [usage.seconds for usage in later.usage()] == [pytest.approx(10)]
    later.start(meter("a", clock.time()))
    later.end("a")
    assert len(later.usage()) == 2
