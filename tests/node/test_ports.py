"""Real ports for pods: each given to one at a time, and not at once to another."""

from __future__ import annotations

import socket

import pytest

from tests.node.machine import Machine
from tests.support.virtual_clock import VirtualClock
from tidegate.kube.errors import InternalFault
from tidegate.node.port_claims import MachineClaims, can_bind
from tidegate.node.ports import PortAllocator


def allocator(clock: VirtualClock, *, taken: tuple[int, ...] = ()) -> PortAllocator:
    return PortAllocator(100, 103, clock=clock, quarantine=60, claims=Machine(taken), start=100)


async def test_a_port_given_back_rests() -> None:
    clock = VirtualClock()
    ports = allocator(clock)
    given_out = [ports.allocate() for _ in range(4)]
    assert given_out == [100, 101, 102, 103]
    ports.release([101])
    with pytest.raises(InternalFault, match="no free port between 100 and 103"):
        ports.allocate()
    await clock.advance(60)
    assert ports.allocate() == 101


def test_a_certain_port_is_taken_once_and_need_not_rest() -> None:
    ports = allocator(VirtualClock(), taken=(8883,))
    assert ports.take(8882)
    assert not ports.take(8882)
    assert not ports.take(8883), "somebody else's"
    ports.release([8882])
    assert ports.take(8882)
    assert ports.take(100)
    assert ports.allocate() == 101


def test_ports_go_round_and_skip_what_is_taken() -> None:
    ports = allocator(VirtualClock(), taken=(101,))
    ports.hold([102])
    assert [ports.allocate(), ports.allocate()] == [100, 103]


def test_a_port_somebody_listens_on_cannot_be_bound() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert not can_bind(port)
    assert can_bind(port)


def test_two_platforms_on_one_machine_never_give_out_the_same_port() -> None:
    # Below those that the kernel gives out, and wide: other runs of this test take some too.
    first, last = 12_000, 12_200
    one, two = (
        PortAllocator(first, last, clock=VirtualClock(), claims=MachineClaims(), start=first)
        for _ in range(2)
    )
    given_out = [ports.allocate() for _ in range(15) for ports in (one, two)]
    assert len(set(given_out)) == 30
    one.close()
    two.close()


async def test_a_rested_port_is_given_to_another_platform() -> None:
    clock = VirtualClock()
    mine, theirs = MachineClaims(), MachineClaims()
    ports = PortAllocator(12_300, 12_500, clock=clock, quarantine=60, claims=mine)
    port = ports.allocate()
    assert not theirs.claim(port)
    ports.release([port])
    ports.allocate()
    assert not theirs.claim(port)
    await clock.advance(60)
    ports.allocate()
    assert theirs.claim(port)
    ports.close()
    theirs.close()
