"""PriorityClasses, and what pods get of them."""

from __future__ import annotations

import re

import pytest

from tests.apiserver.minimal import pod
from tests.support.api import running_api
from tidegate.apiserver.registry.kinds.priorityclasses import system_classes
from tidegate.kube import resources as r
from tidegate.kube.errors import ApiError, Forbidden
from tidegate.kube.objects import thaw


def priority_class(name="high", value=1000, **more):
    return {"metadata": {"name": name}, "value": value, **more}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (None, 0, "PreemptLowerPriority")),
        ({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"},
         (None, 0, "PreemptLowerPriority")),
        ({"priorityClassName": "system-node-critical"},
         ("system-node-critical", 2_000_001_000, "PreemptLowerPriority")),
        ({"priorityClassName": "high"}, ("high", 1000, "Never")),
        ({"priorityClassName": "high", "priority": 1000}, ("high", 1000, "Never")),
    ],
)  # fmt: skip
async def test_pods_have_the_priority_of_their_class(tmp_path, spec, expected):
    async with running_api(tmp_path) as api:
        client = api.client()
        for one in (*system_classes(), priority_class(preemptionPolicy="Never")):
            await client.create(r.PRIORITY_CLASSES, one)
        made = await client.create(r.PODS, pod(**spec))
        names = ("priorityClassName", "priority", "preemptionPolicy")
        assert tuple(made["spec"].get(name) for name in names) == expected
        # What is sent again without them stays as it was, whatever becomes of the class.
        await client.delete(r.PRIORITY_CLASSES, "high")
        sent = thaw(made)
        for name in ("priority", "preemptionPolicy"):
            del sent["spec"][name]
        assert (await client.update(r.PODS, sent))["spec"] == made["spec"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"priority": 5}, "the integer value of priority (5) must not be provided in pod spec"),
        ({"priorityClassName": "high", "priority": 5},
         "priority admission controller computed 1000 from the given PriorityClass name"),
        ({"preemptionPolicy": "Never"},
         "the string value of PreemptionPolicy (Never) must not be provided in pod spec;"
         " priority admission controller computed PreemptLowerPriority from the given"
         " PriorityClass name"),
        ({"priorityClassName": "low"}, "no PriorityClass with name low was found"),
    ],
)  # fmt: skip
async def test_a_pod_does_not_choose_its_priority(tmp_path, spec, problem):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(r.PRIORITY_CLASSES, priority_class())
        with pytest.raises(Forbidden, match=re.escape(problem)):
            await client.create(r.PODS, pod(**spec))


@pytest.mark.parametrize("changed", [{"priority": 5}, {"priorityClassName": "high"}])
async def test_a_pod_keeps_its_priority(tmp_path, changed):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(r.PRIORITY_CLASSES, priority_class())
        await client.create(r.PODS, pod())
        with pytest.raises(ApiError, match="pod updates may not change fields"):
            await client.patch(r.PODS, "x", {"spec": changed}, namespace="default")


async def test_the_default_class_is_that_of_pods_without_one(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(r.PRIORITY_CLASSES, priority_class(globalDefault=True))
        made = await client.create(r.PODS, pod())
        assert (made["spec"]["priorityClassName"], made["spec"]["priority"]) == ("high", 1000)
        problem = "PriorityClass high is already marked as default. Only one default can exist"
        with pytest.raises(Forbidden, match=problem):
            await client.create(r.PRIORITY_CLASSES, priority_class("low", 1, globalDefault=True))
        await client.patch(r.PRIORITY_CLASSES, "high", {"description": "still the default"})
        await client.patch(r.PRIORITY_CLASSES, "high", {"globalDefault": False})
        await client.create(r.PRIORITY_CLASSES, priority_class("low", 1, globalDefault=True))


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (priority_class(value=1_000_000_001),
         "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"),
        (priority_class("system-mine"), "system-mine is not a known system priority class"),
        (priority_class("system-node-critical", 5),
         "value of system-node-critical PriorityClass must be 2000001000"),
        (priority_class("system-node-critical", 2_000_001_000, globalDefault=True),
         "globalDefault of system-node-critical PriorityClass must be false"),
        (priority_class(preemptionPolicy="Maybe"),
         'preemptionPolicy: Unsupported value: "Maybe": supported values:'),
        (priority_class("A"), "metadata.name"),
    ],
)  # fmt: skip
async def test_what_no_class_may_be(tmp_path, asked, problem):
    async with running_api(tmp_path) as api:
        with pytest.raises(ApiError, match=re.escape(problem)):
            await api.client().create(r.PRIORITY_CLASSES, asked)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": 5}, "value: Forbidden: may not be changed in an update."),
        ({"preemptionPolicy": "Never"}, "preemptionPolicy"),
    ],
)
async def test_a_class_keeps_what_pods_have_of_it(tmp_path, change, problem):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(r.PRIORITY_CLASSES, priority_class())
        with pytest.raises(ApiError, match=problem):
            await client.patch(r.PRIORITY_CLASSES, "high", change)
