"""From traffic blocks to Revisions and percents."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.serving.routes.traffic import BadTargetError, Target, consolidate, groups, resolve


def revision(name: str, *, ready: str = "True", service: str = "hello") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {
                "serving.knative.dev/configuration": "hello",
                "serving.knative.dev/service": service,
            },
        },
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def configuration(ready: str = "", *, status: str = "Unknown") -> dict[str, Any]:
    return {
        "metadata": {"name": "hello"},
        "status": {
            "latestReadyRevisionName": ready,
            "conditions": [{"type": "Ready", "status": status}],
        },
    }


def resolved(
    traffic: list[dict[str, Any]], revisions: list[dict[str, Any]], config: dict[str, Any] | None
) -> tuple[Target, ...]:
    by_name = {item["metadata"]["name"]: item for item in revisions}
    return resolve(traffic, configuration=lambda _: config, revision=by_name.get, service="hello")


def test_the_latest_target_follows_the_configuration() -> None:
    traffic = [{"configurationName": "hello", "percent": 100}]
    assert resolved(traffic, [revision("r2")], configuration("r2")) == (
        Target("r2", 100, True, "", "hello"),
    )


def test_equal_targets_are_joined_and_others_stay_apart() -> None:
    traffic = [
        {"revisionName": "r1", "percent": 20},
        {"revisionName": "r1", "percent": 30},
        {"revisionName": "r1", "percent": 0, "tag": "old"},
        {"configurationName": "hello", "percent": 50},
    ]
    targets = resolved(traffic, [revision("r1"), revision("r2")], configuration("r2"))
    assert [(t.revision, t.percent, t.tag) for t in targets] == [
        ("r1", 50, ""),
        ("r1", 0, "old"),
        ("r2", 50, ""),
    ]
    found = groups(targets)
    assert [(t.revision, t.percent) for t in found["old"]] == [("r1", 100)]
    assert [(t.revision, t.percent) for t in consolidate(found[""])] == [("r1", 50), ("r2", 50)]


@pytest.mark.parametrize(
    ("target", "revisions", "config", "status", "reason", "message"),
    [
        (
            {"revisionName": "gone"},
            [],
            None,
            "False",
            "RevisionMissing",
            'Revision "gone" referenced in traffic not found.',
        ),
        (
            {"revisionName": "r1"},
            [revision("r1", ready="Unknown")],
            None,
            "Unknown",
            "RevisionMissing",
            'Revision "r1" is not yet ready.',
        ),
        (
            {"revisionName": "r1"},
            [revision("r1", ready="False")],
            None,
            "False",
            "RevisionMissing",
            'Revision "r1" failed to become ready.',
        ),
        (
            {"revisionName": "r1"},
            [revision("r1", service="other")],
            None,
            "False",
            "RevisionNotOwned",
            'Revision "r1" is not owned by Service "hello".',
        ),
        (
            {"configurationName": "hello"},
            [],
            None,
            "False",
            "ConfigurationMissing",
            'Configuration "hello" referenced in traffic not found.',
        ),
        (
            {"configurationName": "hello"},
            [],
            configuration(),
            "Unknown",
            "RevisionMissing",
            'Configuration "hello" is waiting for a Revision to become ready.',
        ),
        (
            {"configurationName": "hello"},
            [],
            configuration(status="False"),
            "False",
            "RevisionMissing",
            'Configuration "hello" does not have any ready Revision.',
        ),
    ],
)
def test_bad_targets_say_why(
    target: dict[str, Any],
    revisions: list[dict[str, Any]],
    config: dict[str, Any] | None,
    status: str,
    reason: str,
    message: str,
) -> None:
    with pytest.raises(BadTargetError) as caught:
        resolved([{**target, "percent": 100}], revisions, config)
    verdict = caught.value.verdict
    assert (verdict.status, verdict.reason, verdict.message) == (status, reason, message)


def test_a_failure_is_reported_before_a_delay() -> None:
    traffic = [{"revisionName": "r1", "percent": 50}, {"revisionName": "gone", "percent": 50}]
    with pytest.raises(BadTargetError, match="gone"):
        resolved(traffic, [revision("r1", ready="Unknown")], None)


cuts = st.lists(st.integers(0, 100), max_size=7)


def percents_of(points: list[int]) -> list[int]:
    """The lengths between cuts of 0..100, which sum to 100."""
    edges = [0, *sorted(points), 100]
    return [after - before for before, after in itertools.pairwise(edges)]


@given(cuts.map(percents_of))
def test_every_group_sums_to_100(percents: list[int]) -> None:
    targets = tuple(
        Target(f"r{index % 3}", percent, index % 2 == 0, f"t{index}" if index % 3 else "", "hello")
        for index, percent in enumerate(percents)
    )
    for members in groups(targets).values():
        assert sum(target.percent for target in consolidate(members)) == 100
