"""HPA: Kubernetes' arithmetic case by case, in virtual time, and its properties."""

from __future__ import annotations

from contextlib import asynccontextmanager
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from tests.autoscaling.support import settings
from tests.autoscaling.world import world_of
from tidegate.apis.autoscaling import HPA_CLASS
from tidegate.apiserver.metrics import Metrics
from tidegate.autoscaling.policies import hpa
from tidegate.autoscaling.policies.hpa import Measured, NoMetricsError, PodLoad, Target
from tidegate.autoscaling.policies.policy import HpaPolicy, Situation, policy_for
from tidegate.autoscaling.resource_metrics import pod_load, target_of
from tidegate.kube.clock import rfc3339
from tidegate.kube.objects import condition_of, uid_of
from tidegate.kube.resources import EVENTS, PODS
from tidegate.kube.usage import PodSample, ResourceUsage

NOW = 10_000.0
CPU = Target("cpu", Fraction(1, 2))
MEMORY = Target("memory", Fraction(100))
MIB = 2**20


def pod(use, name="a", *, request=1, ready=True, ready_since=0.0, started=0.0, pending=False):
    measured = None if use is None else Measured(Fraction(str(use)), NOW, 15.0)
    asked = None if request is None else Fraction(str(request))
    return PodLoad(name, pending, ready, ready_since, started, asked, measured)


def pods(*uses, **fields):
    return [pod(use, str(index), **fields) for index, use in enumerate(uses)]


@pytest.mark.parametrize(
    ("uses", "present", "wanted"),
    [
        ((1.0,), 1, 2),
        ((0.5,), 1, 1),
        ((0.55,), 1, 1),
        ((0.56,), 1, 2),
        ((0.45, 0.45), 2, 2),
        ((0.44, 0.44), 2, 2),
        ((0.2, 0.2), 2, 1),
        ((0.0, 0.0, 0.0), 3, 0),
        ((2.0, 0.0), 2, 4),
        ((1.0, 1.0, 1.0), 3, 6),
        # A pod more or less in what is asked of the Deployment does not enter the ratio.
        ((1.0,), 5, 2),
    ],
)
def test_cpu_is_compared_with_its_part_of_the_requests(uses, present, wanted):
    assert hpa.recommend(pods(*uses), present, CPU, NOW) == wanted


@pytest.mark.parametrize(
    ("uses", "present", "wanted"),
    [((100,), 1, 1), ((111,), 1, 2), ((50, 50, 50), 3, 2), ((300, 100), 2, 4), ((90, 90), 2, 2)],
)
def test_memory_is_compared_with_its_amount_per_pod(uses, present, wanted):
    assert hpa.recommend(pods(*uses, request=None), present, MEMORY, NOW) == wanted


def test_requests_of_different_size_are_summed():
    both = [pod(0.3, "small", request=0.1), pod(0.3, "large", request=1.1)]
    assert hpa.recommend(both, 2, CPU, NOW) == 2


def test_a_pod_without_metrics_does_not_make_a_fall_bolder():
    # 10 % of one pod alone would be one pod for two; with the other at full use it is none less.
    assert hpa.recommend([pod(0.1, "a"), pod(None, "b")], 2, CPU, NOW) == 2
    # Memory: it counts as using its target.
    quiet = [pod(10, "a"), pod(10, "b"), pod(None, "c")]
    assert hpa.recommend(quiet, 3, MEMORY, NOW) == 2


def test_a_pod_without_metrics_does_not_make_a_rise_bolder():
    assert hpa.recommend([pod(1.0, "a"), pod(1.0, "b")], 2, CPU, NOW) == 4
    assert hpa.recommend([pod(1.0, "a"), pod(1.0, "b"), pod(None, "c")], 3, CPU, NOW) == 4
    # Exactly at the target: nothing to be careful about.
    exact = [pod(0.5, str(n)) for n in range(8)]
    assert hpa.recommend([*exact, pod(None, "z")], 9, CPU, NOW) == 9
    # Within the tolerance with the third, nothing changes.
    assert hpa.recommend([pod(0.75, "a"), pod(None, "b")], 2, CPU, NOW) == 2


def test_a_pod_that_warms_up_counts_as_using_nothing_for_a_rise_and_not_at_all_for_a_fall():
    warming = pod(3.0, "b", ready=False, ready_since=NOW - 5, started=NOW - 20)
    assert hpa.recommend([pod(1.0, "a"), warming], 2, CPU, NOW) == 2
    assert hpa.recommend([pod(2.0, "a"), warming], 2, CPU, NOW) == 4
    assert hpa.recommend([pod(0.1, "a"), warming], 2, CPU, NOW) == 1
    assert hpa.recommend([pod(2.0, "a"), pod(None, "b", pending=True)], 2, CPU, NOW) == 4


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        # Ready for longer than the window of its metrics.
        ({"started": NOW - 60, "ready_since": NOW - 20}, True),
        # Part of the window lies before it was ready.
        ({"started": NOW - 60, "ready_since": NOW - 10}, False),
        ({"started": NOW - 60, "ready_since": NOW - 50, "ready": False}, False),
        # Later, only one that was never ready does not count.
        ({"started": NOW - 400, "ready_since": NOW - 100, "ready": False}, True),
        ({"started": NOW - 400, "ready_since": NOW - 399, "ready": False}, False),
        ({"started": None, "ready_since": 0.0}, False),
        ({"ready": None}, False),
    ],
)
def test_the_cpu_of_a_start_says_nothing(fields, counts):
    one = [pod(2.0, **fields)]
    if counts:
        assert hpa.recommend(one, 1, CPU, NOW) == 4
    else:
        with pytest.raises(NoMetricsError, match="might be unready"):
            hpa.recommend(one, 1, CPU, NOW)
    # Memory is what it is from the first moment.
    assert hpa.recommend([pod(200, **fields)], 1, MEMORY, NOW) == 2


def test_without_metrics_or_requests_nothing_is_recommended():
    with pytest.raises(NoMetricsError, match="did not receive metrics"):
        hpa.recommend([], 1, CPU, NOW)
    with pytest.raises(NoMetricsError, match="missing request for cpu in pod b"):
        hpa.recommend([pod(1), pod(1, "b", request=None)], 2, CPU, NOW)


class Run:
    """A policy that is told what the metrics recommend, every 15 seconds."""

    def __init__(self, present, **annotations):
        annotations.setdefault("max_scale", "100")
        self.settings = settings(**{"class": HPA_CLASS}, **annotations)
        self.present = present
        self.now = 0.0
        policy = policy_for(self.situation, self.now)
        assert isinstance(policy, HpaPolicy)
        self.policy = policy

    @property
    def situation(self):
        return Situation(self.settings, True, self.present, self.present)

    def look(self, recommended):
        assert self.policy.is_due(self.now)
        self.policy.recommended(recommended, self.situation, self.now)
        decision = self.policy.decide(self.situation, self.now)
        assert decision.active
        assert decision.look_again == self.now + 15
        assert not self.policy.is_due(self.now + 14.9)
        self.present = decision.desired
        self.now += 15
        return decision.desired


def test_a_rise_is_followed_at_once_and_a_fall_after_five_minutes():
    run = Run(1)
    assert run.look(4) == 4
    # The look at 300 seconds is the first that no longer sees the four.
    assert [run.look(1) for _ in range(20)] == [4] * 19 + [1]


def test_a_peak_within_the_window_holds():
    run = Run(6)
    assert [run.look(2) for _ in range(10)] == [6] * 10
    assert run.look(5) == 6
    assert {run.look(2) for _ in range(9)} == {6}
    # The start is forgotten, the peak not yet.
    assert [run.look(2) for _ in range(11)] == [5] * 10 + [2]


def test_a_rise_doubles_or_adds_four_in_fifteen_seconds():
    run = Run(1)
    assert [run.look(60) for _ in range(5)] == [5, 10, 20, 40, 60]


def test_without_metrics_the_pods_stay():
    run = Run(7)
    assert [run.look(None) for _ in range(30)] == [7] * 30


def test_never_fewer_than_one_nor_outside_the_bounds():
    run = Run(1, max_scale="3")
    assert run.look(9) == 3
    assert {run.look(0) for _ in range(40)} == {3, 1}
    run = Run(3, min_scale="2")
    assert {run.look(0) for _ in range(40)} == {3, 2}
    assert Run(0).policy.decide(Run(0).situation, 0.0).desired == 1


def test_the_window_of_the_revision_is_that_of_both_directions():
    run = Run(2, window="30s")
    assert [run.look(n) for n in (8, 8, 8, 8)] == [2, 2, 6, 8]
    assert [run.look(n) for n in (1, 1, 1)] == [8, 1, 1]


@pytest.mark.parametrize(
    ("annotations", "target"),
    [
        ({}, Target("cpu", Fraction(8, 10))),
        ({"target": "50"}, Target("cpu", Fraction(1, 2))),
        ({"target": "50.2"}, Target("cpu", Fraction(51, 100))),
        ({"metric": "memory", "target": "64"}, Target("memory", Fraction(64 * MIB))),
        ({"metric": "memory"}, Target("cpu", Fraction(8, 10))),
    ],
)
def test_the_target_is_percent_of_cpu_or_mebibytes(annotations, target):
    assert target_of(settings(**{"class": HPA_CLASS}, **annotations)) == target


def test_a_metric_that_nobody_measures_recommends_nothing():
    custom = settings(**{"class": HPA_CLASS}, metric="queue_length", target="5")
    with pytest.raises(NoMetricsError, match="unable to get metric queue_length"):
        target_of(custom)


@pytest.mark.parametrize(("window", "seconds"), [("15.25s", 15.25), ("1m2.5s", 62.5)])
def test_metrics_and_requests_are_read_from_objects(window, seconds):
    requests = [
        {"resources": {"requests": {"cpu": "250m"}}},
        {"resources": {"requests": {"cpu": "1"}}},
    ]
    found = pod_load(
        {
            "metadata": {"name": "p"},
            "spec": {"containers": requests},
            "status": {"phase": "Running", "startTime": "1970-01-01T00:00:10Z"},
        },
        {
            "timestamp": "1970-01-01T00:01:00Z",
            "window": window,
            "containers": [{"usage": {"cpu": "500000000n"}}, {"usage": {"cpu": "250m"}}],
        },
        "cpu",
    )
    assert found.request == Fraction(5, 4)
    assert found.measured == Measured(Fraction(3, 4), 60.0, seconds)
    assert (found.pending, found.ready, found.started) == (False, None, 10.0)


_USES = st.lists(st.integers(0, 400).map(lambda n: n / 100), min_size=1, max_size=12)


@unhurried(deadline=None)
@given(_USES, st.integers(1, 20))
def test_more_use_never_asks_for_fewer_pods(uses, present):
    before = hpa.recommend(pods(*uses), len(uses), CPU, NOW)
    more = hpa.recommend(pods(*(use + 1 for use in uses)), len(uses), CPU, NOW)
    assert more >= before
    assert hpa.recommend(pods(*uses), present, CPU, NOW) >= 0


@unhurried(deadline=None)
@given(_USES, st.integers(0, 4), st.integers(0, 4))
def test_unknown_pods_only_ever_make_it_more_cautious(uses, missing, pending):
    # By memory, for the whole percents of CPU round either way.
    known = pods(*(use * 100 for use in uses))
    unknown = [pod(None, f"m{i}") for i in range(missing)]
    unknown += [pod(None, f"p{i}", pending=True) for i in range(pending)]
    present = len(known) + len(unknown)
    bold = hpa.recommend(known, present, MEMORY, NOW)
    cautious = hpa.recommend([*known, *unknown], present, MEMORY, NOW)
    if bold > present:
        assert present <= cautious <= bold
    if cautious < present:
        assert bold <= cautious


@unhurried(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 50))
def test_the_pods_stay_within_what_was_recommended_lately(recommended, present):
    run = Run(present)
    said = [present]
    for wanted in recommended:
        before = run.present
        said.append(wanted)
        after = run.look(wanted)
        assert after <= max(*said[-21:], 1)
        if wanted >= before:
            assert before <= after <= max(wanted, 1)
            assert after >= min(wanted, before + 1)
        else:
            assert after >= max(wanted, 1)


class Usage:
    """A source of usage that says what the test says."""

    def __init__(self, clock):
        self.clock = clock
        self.cores = {}

    async def nodes(self):
        return []

    async def pods(self, namespace=None):
        assert namespace == "default"
        return [
            PodSample(
                "default", name, uid, self.clock.time(), 15.0, {"app": ResourceUsage(cores, MIB)}
            )
            for (name, uid), cores in self.cores.items()
        ]

    def say(self, pods, cores):
        self.cores = {(name, uid_of(pod)): cores for name, pod in pods.items()}


@asynccontextmanager
async def measured_world(directory):
    async with world_of(directory) as world:
        metrics = Metrics(world.api.api.view)
        metrics.source = usage = Usage(world.clock)
        for spec in metrics.specs():
            world.api.api.registry.add(spec)
        yield world, usage


HPA = {"class": HPA_CLASS, "max_scale": "4", "target": "50"}


async def _started(world):
    await world.make_ready()
    started = {"startTime": rfc3339(world.clock.time())}
    for name in await world.pods():
        await world.client.patch(
            PODS, name, {"status": started}, namespace="default", subresource="status"
        )
    await world.settle()


async def test_pods_follow_what_they_use(tmp_path):
    async with measured_world(tmp_path) as (world, usage):
        await world.revision(replicas=1, requests={"cpu": "1"}, **HPA)
        await _started(world)
        await world.advance(30)
        (told,) = [e for e in await _events(world) if e["reason"] == "FailedGetResourceMetric"]
        assert "did not receive metrics" in told["message"]

        usage.say(await world.pods(), 1.2)
        await world.advance(15)
        assert await world.replicas() == 3
        await _started(world)
        usage.say(await world.pods(), 1.5)
        await world.advance(30)
        assert await world.replicas() == 4
        await _started(world)
        found = await world.autoscaler()
        assert condition_of(found, "Active")["status"] == "True"
        assert found["status"]["desiredScale"] == 4

        usage.say(await world.pods(), 0.0)
        await world.advance(285)
        assert await world.draining() == set()
        await world.advance(30)
        # Idle for as long as you like, and still one.
        assert len(await world.draining()) == 3
        await world.drained()
        assert await world.replicas() == 1
        await world.advance(1200)
        assert await world.replicas() == 1


async def test_requests_do_not_count_and_a_missing_request_is_told(tmp_path):
    async with measured_world(tmp_path) as (world, usage):
        await world.revision(replicas=1, **HPA)
        await _started(world)
        usage.say(await world.pods(), 4.0)
        await world.say(50)
        await world.advance(60)
        assert await world.replicas() == 1
        told = [e for e in await _events(world) if e["reason"] == "FailedGetResourceMetric"]
        assert any("missing request for cpu in pod" in e["message"] for e in told)


async def _events(world):
    return (await world.client.list(EVENTS, namespace="default")).items
