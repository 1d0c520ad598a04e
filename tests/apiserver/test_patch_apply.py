"""Server-side apply: ownership, conflicts, force, and what is taken out."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from hypothesis import given

from tests.apiserver.applying import ALICE, BOB, CONFIGS, PLACE, apply_purely
from tests.support.api import running_api
from tidegate.apiserver.patch.fieldsets import field_set, from_fields_v1, to_fields_v1
from tidegate.apiserver.requests import RequestContext, User
from tidegate.kube.client import PatchType
from tidegate.kube.errors import Conflict, Invalid
from tidegate.kube.objects import thaw
from tidegate.kube.resources import DEPLOYMENTS


def deployment(**spec) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            },
            **spec,
        },
    }


@asynccontextmanager
async def applying(tmp_path):
    async with running_api(tmp_path) as running:
        spec = running.api.registry.of(DEPLOYMENTS)

        async def apply(manager: str, config: dict, *, force: bool = False) -> dict:
            context = RequestContext(User("someone"), field_manager=manager, force=force)
            stored, _ = await running.api.patch(
                context, spec, "web", thaw(config), PatchType.APPLY, namespace="default"
            )
            return stored.object

        yield running, apply


def managers(obj: dict) -> list[tuple[str, str]]:
    return [(e["manager"], e["operation"]) for e in obj["metadata"].get("managedFields", [])]


async def test_apply_creates_and_the_second_time_changes_nothing(tmp_path):
    async with applying(tmp_path) as (_, apply):
        first = await apply("alice", deployment(replicas=2))
        assert first["spec"]["replicas"] == 2
        assert first["spec"]["strategy"]["type"] == "RollingUpdate"
        assert managers(first) == [("alice", "Apply")]
        assert await apply("alice", deployment(replicas=2)) is first


async def test_what_is_no_longer_applied_is_taken_out_unless_another_owns_it(tmp_path):
    async with applying(tmp_path) as (_, apply):
        with_labels = deployment(paused=True)
        with_labels["metadata"]["labels"] = {"a": "1", "b": "2"}
        await apply("alice", with_labels)
        shared = deployment()
        shared["metadata"]["labels"] = {"b": "2"}
        await apply("bob", shared)
        after = await apply("alice", deployment())
        assert after["metadata"]["labels"] == {"b": "2"}
        assert "paused" not in after["spec"]


async def test_another_managers_value_is_a_conflict_and_force_takes_it(tmp_path):
    async with applying(tmp_path) as (_, apply):
        await apply("alice", deployment(replicas=2))
        with pytest.raises(Conflict) as refused:
            await apply("bob", deployment(replicas=3))
        assert refused.value.message == (
            'Apply failed with 1 conflict: conflict with "alice": .spec.replicas'
        )
        assert refused.value.causes[0].field == ".spec.replicas"
        forced = await apply("bob", deployment(replicas=3), force=True)
        assert forced["spec"]["replicas"] == 3
        with pytest.raises(Conflict, match='conflict with "bob"'):
            await apply("alice", deployment(replicas=2))


async def test_an_update_takes_over_what_it_changes(tmp_path):
    async with applying(tmp_path) as (running, apply):
        await apply("alice", deployment(replicas=2))
        scaled = await running.client().patch(
            DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, namespace="default"
        )
        assert ("tidegate", "Update") in managers(scaled)
        with pytest.raises(Conflict, match='conflict with "tidegate"'):
            await apply("alice", deployment(replicas=2))
        kept = await apply("alice", deployment())
        assert kept["spec"]["replicas"] == 5


async def test_what_was_there_before_the_first_apply_has_an_owner(tmp_path):
    async with applying(tmp_path) as (running, apply):
        await running.client().create(DEPLOYMENTS, deployment(replicas=2))
        with pytest.raises(Conflict, match="before-first-apply"):
            await apply("alice", deployment(replicas=3))


async def test_containers_of_two_managers_live_side_by_side(tmp_path):
    async with applying(tmp_path) as (_, apply):
        await apply("alice", deployment())
        sidecar = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}},
        }
        both = await apply("bob", sidecar)
        names = [c["name"] for c in both["spec"]["template"]["spec"]["containers"]]
        assert names == ["main", "side"]
        again = await apply("alice", deployment())
        assert len(again["spec"]["template"]["spec"]["containers"]) == 2
        sidecar["spec"] = {"paused": False}
        alone = await apply("bob", sidecar)
        names = [c["name"] for c in alone["spec"]["template"]["spec"]["containers"]]
        assert names == ["main"]


async def test_a_manager_must_have_a_name(tmp_path):
    async with applying(tmp_path) as (_, apply):
        with pytest.raises(Invalid, match="fieldManager"):
            await apply("", deployment())


@given(CONFIGS, CONFIGS, CONFIGS)
def test_apply_is_idempotent_and_holds_what_was_applied_last(first, second, third):
    live = apply_purely(None, first, ALICE)
    live = apply_purely(live, second, BOB)
    live = apply_purely(live, third, ALICE)
    assert apply_purely(live, third, ALICE) == live
    containers = {c["name"]: c["image"] for c in live["spec"]["template"]["spec"]["containers"]}
    for container in third["spec"]["template"]["spec"]["containers"]:
        assert containers[container["name"]] == container["image"]
    wanted = {c["name"] for c in third["spec"]["template"]["spec"]["containers"]}
    others = {c["name"] for c in second["spec"]["template"]["spec"]["containers"]}
    assert set(containers) == wanted | others


@given(CONFIGS)
def test_fields_v1_round_trips(config):
    fields = field_set(config, PLACE)
    assert from_fields_v1(to_fields_v1(fields)) == fields
