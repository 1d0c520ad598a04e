"""Which Revisions are collected, and that they really go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serving.support import running_serving, service
from tidegate.apis import serving
from tidegate.apis.config_sections import GarbageCollection
from tidegate.kube.clock import rfc3339
from tidegate.serving.revisions.gc import plan

HOUR = 3600.0
NOW = 1_000_000_000.0


def revision(
    number: int,
    *,
    age: float,
    idle: float | None = None,
    state: str = "reserve",
    keep: bool = False,
) -> dict[str, Any]:
    annotations = {"serving.knative.dev/no-gc": "true"} if keep else {}
    if idle is not None:
        annotations["serving.knative.dev/routingStateModified"] = rfc3339(NOW - idle)
    return {
        "metadata": {
            "name": f"r{number}",
            "creationTimestamp": rfc3339(NOW - age),
            "labels": {"serving.knative.dev/routingState": state},
            "annotations": annotations,
        }
    }


def names(found: tuple[dict[str, Any], ...]) -> list[str]:
    return [item["metadata"]["name"] for item in found]


def test_stale_revisions_go_down_to_the_minimum() -> None:
    revisions = [revision(n, age=100 * HOUR, idle=(50 - n) * HOUR) for n in range(5)]
    settings = GarbageCollection(min_non_active_revisions=2)
    assert names(plan(revisions, "", settings, now=NOW).delete) == ["r0", "r1", "r2"]


def test_both_times_must_have_passed() -> None:
    settings = GarbageCollection(min_non_active_revisions=0)
    young = revision(1, age=47 * HOUR, idle=47 * HOUR)
    lately_used = revision(2, age=90 * HOUR, idle=14 * HOUR)
    found = plan([young, lately_used], "", settings, now=NOW)
    assert found.delete == ()
    assert found.look_again == NOW + HOUR


@pytest.mark.parametrize(
    "needed",
    [
        revision(1, age=1000 * HOUR, state="active"),
        revision(1, age=1000 * HOUR, state="pending"),
        revision(1, age=1000 * HOUR, keep=True),
    ],
)
def test_what_is_needed_stays(needed: dict[str, Any]) -> None:
    settings = GarbageCollection(min_non_active_revisions=0, max_non_active_revisions=0)
    assert plan([needed], "", settings, now=NOW).delete == ()


def test_the_latest_ready_revision_stays() -> None:
    settings = GarbageCollection(min_non_active_revisions=0, max_non_active_revisions=0)
    assert plan([revision(1, age=1000 * HOUR)], "r1", settings, now=NOW).delete == ()


def test_more_than_the_maximum_go_however_young() -> None:
    revisions = [revision(n, age=60.0 - n) for n in range(5)]
    settings = GarbageCollection(min_non_active_revisions=0, max_non_active_revisions=2)
    assert names(plan(revisions, "", settings, now=NOW).delete) == ["r0", "r1", "r2"]


def test_disabled_times_keep_everything() -> None:
    settings = GarbageCollection(
        retain_since_create_time=None,
        retain_since_last_active_time=None,
        min_non_active_revisions=0,
        max_non_active_revisions=None,
    )
    assert plan([revision(1, age=9999 * HOUR)], "", settings, now=NOW).delete == ()


async def test_old_revisions_are_deleted_when_their_time_has_come(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        await cluster.set_config("config-gc", {"min-non-active-revisions": "0"})
        await cluster.deploy(service())
        changed = service()
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
        await cluster.deploy(changed, revision=2)
        await cluster.clock.advance(47 * HOUR)
        await cluster.settle()
        assert await cluster.names(serving.REVISIONS) == ["hello-00001", "hello-00002"]
        await cluster.clock.advance(2 * HOUR)
        await cluster.settle()
        assert await cluster.names(serving.REVISIONS) == ["hello-00002"]
