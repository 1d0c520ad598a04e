"""Slots belong to one revision at a time and rest before they are used again."""

from __future__ import annotations

import pytest

from tidegate.gateway.slots import PoolExhaustedError, Slots
from tidegate.kube.objects import Key

A, B, C = (Key("default", name) for name in "abc")


def test_a_revision_keeps_its_slot_and_kinds_do_not_mix() -> None:
    slots = Slots(["l1", "l2"], ["u1"])
    assert slots.assign(A, is_limited=True) == "l1"
    assert slots.assign(A, is_limited=True) == "l1"
    assert slots.assign(B, is_limited=False) == "u1"
    assert slots.revision_of("l1") == A
    with pytest.raises(PoolExhaustedError, match=r"default/c.*without"):
        slots.assign(C, is_limited=False)


def test_a_freed_slot_is_the_last_to_be_used_again() -> None:
    slots = Slots(["l1", "l2"], [])
    slots.assign(A, is_limited=True)
    slots.release(A)
    assert slots.of(A) is None
    assert slots.assign(B, is_limited=True) == "l2"
    assert slots.assign(C, is_limited=True) == "l1"


def test_what_a_running_proxy_has_is_taken_over_once() -> None:
    slots = Slots(["l1", "l2"], [])
    assert slots.restore("l2", A)
    assert not slots.restore("l2", B)
    assert not slots.restore("l1", A)
    assert not slots.restore("gone", C)
    assert slots.assigned() == {A: "l2"}
