"""What pods and the machine use: the arithmetic on made-up tables, the numbers on real pods."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from tests.node.images import make_image
from tests.node.running import stage
from tests.support.hasty_clock import HastyClock
from tidegate.node.runtime.process.processes import ProcessName
from tidegate.node.usage import running_containers
from tidegate.node.usage_processes import (
    Process,
    members_of,
    memory_of,
    memory_used,
    read_machine,
)

BURN = """
import os, sys, time
ballast = bytearray(64 * 2**20)
ballast[::4096] = b"x" * len(ballast[::4096])
parent = os.getpid()
if os.fork() == 0:
    os.setsid()
    while os.getppid() == parent: pass
    os._exit(0)
time.sleep(3600)
"""
IDLE = "import time; time.sleep(3600)"


def _process(pid, parent, *, group=0, session=0, cpu=1.0, start=1):
    return Process(ProcessName(pid, start), parent, group or pid, session or pid, cpu)


def _table(*processes):
    return {process.name.pid: process for process in processes}


def _pids(trees, leader):
    return sorted(process.name.pid for process in trees[leader])


def test_a_tree_is_descendants_group_and_session():
    table = _table(
        _process(1, 0),
        _process(10, 1),
        _process(20, 10, group=20, session=20),
        _process(21, 20, group=21, session=21),
        _process(22, 21, group=22, session=22),
        _process(23, 1, group=20, session=20),
        _process(24, 1, group=24, session=20),
        _process(30, 10, group=30, session=30),
    )
    first, second = ProcessName(20, 1), ProcessName(30, 1)
    trees = members_of([first, second], table, {})
    assert _pids(trees, first) == [20, 21, 22, 23, 24]
    assert _pids(trees, second) == [30]


def test_a_daemon_that_left_its_tree_is_still_of_it_unless_its_pid_is_anothers():
    leader = ProcessName(20, 1)
    before = {ProcessName(40, 7): leader}
    left = _table(_process(20, 1), _process(40, 1, start=7))
    assert _pids(members_of([leader], left, before), leader) == [20, 40]
    again = _table(_process(20, 1), _process(40, 1, start=8))
    assert _pids(members_of([leader], again, before), leader) == [20]
    assert members_of([], left, before) == {}


def test_a_pid_given_anew_is_not_the_container():
    leader = ProcessName(20, 1)
    table = _table(_process(20, 1, start=99), _process(21, 20))
    assert _pids(members_of([leader], table, {}), leader) == []


@unhurried(deadline=None)
@given(st.dictionaries(st.integers(2, 60), st.integers(0, 60), max_size=60))
def test_every_process_has_one_owner_whatever_the_table_says(parents):
    table = _table(*(_process(pid, parent) for pid, parent in parents.items()))
    leaders = [process.name for pid, process in table.items() if pid % 7 == 0]
    trees = members_of(leaders, table, {})
    counted = [process.name.pid for tree in trees.values() for process in tree]
    assert len(counted) == len(set(counted))
    for leader in leaders:
        assert leader.pid in _pids(trees, leader)


def test_the_machine_knows_this_process_and_its_memory():
    machine = read_machine()
    assert machine.processes[os.getpid()].parent == os.getppid()
    assert 0 < memory_of([os.getpid()]) < memory_used()


@pytest.mark.parametrize("identity", [None, "", "docker://abc", "process://1", "process://-1-2"])
def test_a_status_that_somebody_else_wrote_names_no_process(identity):
    status = {"name": "main", "containerID": identity, "state": {"running": {}}}
    assert running_containers({"status": {"containerStatuses": [status]}}) == {}
    status["containerID"] = "process://12-345"
    named = running_containers({"status": {"containerStatuses": [status]}})
    assert named == {"main": ProcessName(12, 345)}


async def test_pods_are_measured_with_all_their_processes(tmp_path):
    async with stage(tmp_path, clock=HastyClock()) as theatre:
        make_image(theatre.images, "burn", program=BURN)
        make_image(theatre.images, "idle", program=IDLE)
        node = theatre.start().node
        await theatre.create("burn", container={"image": "burn"})
        await theatre.create("idle", container={"image": "idle"})
        for name in ("burn", "idle"):
            await theatre.until(name, lambda pod: pod["status"].get("phase") == "Running")
        samples = {}

        async def measured():
            samples.update({sample.name: sample for sample in await node.resources.pods()})
            burning = samples.get("burn")
            return (
                burning is not None
                and burning.containers["main"].cpu > 0.01
                and burning.containers["main"].memory > 60 * 2**20
                and "idle" in samples
            )

        await theatre.api.eventually(measured, timeout=60)
        burning, idle = samples["burn"].containers["main"], samples["idle"].containers["main"]
        assert idle.cpu < burning.cpu
        # It shares its pages with its template and is charged with its part of them alone.
        assert 0 < idle.memory < 30 * 2**20
        assert samples["burn"].window >= 1

        machine = []

        async def node_measured():
            machine[:] = await node.resources.nodes()
            return bool(machine)

        await theatre.api.eventually(node_measured, timeout=60)
        assert machine[0].usage.cpu > 0
        assert machine[0].usage.memory > burning.memory

        await theatre.delete("burn", grace_period_seconds=0)
        await theatre.gone("burn")
        assert "burn" not in {sample.name for sample in await node.resources.pods()}
