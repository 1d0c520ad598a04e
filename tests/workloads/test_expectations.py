"""What a controller has begun and not yet seen."""

from __future__ import annotations

from tests.support.virtual_clock import VirtualClock
from tidegate.workloads.expectations import Expectations


async def test_what_is_on_its_way_is_counted_until_seen():
    expectations = Expectations(VirtualClock())
    expectations.creating("rs", "a")
    expectations.creating("rs", "b")
    expectations.deleting("rs", "uid")
    expectations.created("rs", "a")
    assert expectations.pending_creates("rs") == {"b"}
    assert expectations.pending_deletes("rs") == {"uid"}
    expectations.created("rs", "b")
    expectations.deleted("rs", "uid")
    assert not expectations.pending_creates("rs")
    assert not expectations.pending_deletes("rs")


async def test_an_echo_that_never_comes_is_forgotten_after_five_minutes():
    clock = VirtualClock()
    expectations = Expectations(clock)
    expectations.creating("rs", "lost")
    await clock.advance(300)
    assert expectations.pending_creates("rs") == {"lost"}
    await clock.advance(0.1)
    assert not expectations.pending_creates("rs")
