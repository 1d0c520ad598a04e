"""Jobs at the door: defaults, the generated selector, validation, what may change, deletion."""

from __future__ import annotations

import pytest

from tests.apiserver.minimal import job
from tests.support.api import running_api
from tidegate.apiserver.options import DeleteOptions
from tidegate.apiserver.requests import RequestContext, User
from tidegate.kube.errors import Invalid
from tidegate.kube.objects import thaw
from tidegate.kube.resources import JOBS

UID = "batch.kubernetes.io/controller-uid"
CONDITION = {"type": "DisruptionTarget"}


def codes(**requirement):
    rule = {"action": "FailJob", "onExitCodes": requirement}
    return {"podFailurePolicy": {"rules": [rule]}}


def enough(rule):
    return {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [rule]}}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        yield running


async def refused(api, obj):
    with pytest.raises(Invalid) as caught:
        await api.client().create(JOBS, obj)
    return str(caught.value)


async def test_defaults_are_those_of_kubernetes(api):
    made = await api.client().create(JOBS, job())
    spec, uid = made["spec"], made["metadata"]["uid"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["suspend"]) == ("NonIndexed", False)
    assert spec["selector"] == {"matchLabels": {UID: uid}}
    labels = {
        UID: uid,
        "controller-uid": uid,
        "batch.kubernetes.io/job-name": "pi",
        "job-name": "pi",
    }
    assert spec["template"]["metadata"]["labels"] == labels
    assert made["metadata"]["labels"] == labels
    assert spec["podReplacementPolicy"] == "TerminatingOrFailed"
    rules = {"rules": [{"action": "Ignore", "onPodConditions": [CONDITION]}]}
    patient = (await api.client().create(JOBS, job("patient", podFailurePolicy=rules)))["spec"]
    assert patient["podReplacementPolicy"] == "Failed"
    (rule,) = patient["podFailurePolicy"]["rules"]
    assert rule["onPodConditions"] == [{**CONDITION, "status": "True"}]
    queue = await api.client().create(JOBS, job("queue", parallelism=3))
    assert "completions" not in queue["spec"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"parallelism": -1}, "spec.parallelism: Invalid value: -1: must be greater than or equal"),
        ({"backoffLimit": -1}, "spec.backoffLimit: Invalid value: -1"),
        ({"activeDeadlineSeconds": -5}, "spec.activeDeadlineSeconds: Invalid value: -5"),
        ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished: Invalid value: -1"),
        (
            {"completionMode": "Sorted"},
            'spec.completionMode: Unsupported value: "Sorted": supported values: "Indexed", '
            '"NonIndexed"',
        ),
        (
            {"completionMode": "Indexed", "parallelism": 2},
            "spec.completions: Required value: when completion mode is Indexed",
        ),
        ({"selector": {"matchLabels": {"a": "b"}}}, "`selector` not auto-generated"),
        (
            {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}},
            "`selector` does not match template `labels`",
        ),
        ({"manualSelector": True}, "spec.selector: Required value"),
        (
            {"podReplacementPolicy": "Never"},
            'spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", '
            '"TerminatingOrFailed"',
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Ignore"}]}},
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Retry", "onPodConditions": [CONDITION]}]}},
            'rules[0].action: Unsupported value: "Retry"',
        ),
        (codes(operator="In", values=[0, 1]), "values: Invalid value: 0: must not be 0"),
        (codes(operator="In", values=[2, 1]), "must be ordered and without duplicates"),
        (codes(operator="In", values=[]), "must have 1 to 255 items"),
        (
            codes(operator="In", values=[1], containerName="other"),
            'containerName: Invalid value: "other": must be one of the container names',
        ),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, "requires indexed completion mode"),
        (enough({}), "at least one of succeededCount or succeededIndexes must be specified"),
        (enough({"succeededCount": 9}), "must be greater than 0 and at most completions"),
        (enough({"succeededIndexes": "1-"}), "error parsing succeededIndexes"),
    ],
)
async def test_what_is_wrong_is_said(api, spec, message):
    assert message in await refused(api, job(**spec))


async def test_pods_of_a_job_may_not_run_for_ever(api):
    for policy in ("Always", None):
        endless = job()
        endless["spec"]["template"]["spec"]["restartPolicy"] = policy
        if policy is None:
            del endless["spec"]["template"]["spec"]["restartPolicy"]
        text = await refused(api, endless)
        expected = 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", '
        assert expected + '"Never"' in text


async def change(api, made, path, value):
    new = thaw(made)
    *parents, last = path.split(".")
    at = new["spec"]
    for name in parents:
        at = at[name]
    at[last] = value
    return await api.client().update(JOBS, new)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("completions", 5),
        ("completionMode", "Indexed"),
        ("template.spec.terminationGracePeriodSeconds", 7),
        ("selector", {"matchLabels": {UID: "other"}}),
    ],
)
async def test_what_a_job_is_cannot_change(api, path, value):
    made = await api.client().create(JOBS, job(completions=2))
    with pytest.raises(Invalid, match="field is immutable"):
        await change(api, made, path, value)


async def test_what_steers_a_job_can_change(api):
    made = await api.client().create(JOBS, job())
    for path, value in (("parallelism", 4), ("suspend", True), ("activeDeadlineSeconds", 9)):
        made = await change(api, made, path, value)
        assert made["spec"][path] == value
    assert made["metadata"]["generation"] == 4
    # Not started yet: where its pods run is still open.
    made = await change(api, made, "template.spec.nodeSelector", {"disk": "fast"})
    grown = await api.client().create(
        JOBS, job("grown", completionMode="Indexed", completions=2, parallelism=2)
    )
    both = thaw(grown)
    both["spec"]["completions"] = both["spec"]["parallelism"] = 3
    assert (await api.client().update(JOBS, both))["spec"]["completions"] == 3


async def test_a_delete_that_says_nothing_spares_the_pods_and_warns(api):
    await api.client().create(JOBS, job())
    spec = api.api.registry.of(JOBS)
    context = RequestContext(User("me"))
    deletion = await api.api.delete(
        context, spec, "pi", namespace="default", options=DeleteOptions()
    )
    assert not deletion.removed
    assert deletion.stored.object["metadata"]["finalizers"] == ["orphan"]
    assert "child pods are preserved by default when jobs are deleted" in context.warnings[0]
