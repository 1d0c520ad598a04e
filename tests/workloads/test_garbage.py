"""What goes with its owner, in each propagation mode, and namespaces that are deleted."""

from __future__ import annotations

import pytest

from tests.workloads.support import ROOT_CA, deployment, running_controllers
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import is_deleting, name_of, owner_reference, owner_references_of
from tidegate.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
)


def _config_map(name, *owners, namespace="default"):
    metadata = {"name": name, "namespace": namespace}
    if owners:
        metadata["ownerReferences"] = [owner_reference(o, controller=False) for o in owners]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def _mapped(world):
    return await world.names(CONFIG_MAPS) - {"kube-root-ca.crt"}


async def test_background_takes_the_dependents_after_the_owner(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment())
        await world.settle()
        await world.client.delete(DEPLOYMENTS, "web", namespace="default")
        assert not await world.names(DEPLOYMENTS)
        await world.settle()
        assert not await world.names(REPLICA_SETS)
        assert not await world.names(PODS)


async def test_foreground_keeps_the_owner_until_its_dependents_are_gone(tmp_path):
    async with running_controllers(tmp_path) as world:
        wanted = deployment(replicas=2)
        wanted["spec"]["template"]["spec"]["nodeName"] = "tidegate"
        await world.client.create(DEPLOYMENTS, wanted)
        await world.settle()
        await world.client.delete(DEPLOYMENTS, "web", namespace="default", propagation="Foreground")
        await world.settle()
        assert await world.names(DEPLOYMENTS) == {"web"}
        assert len(await world.names(REPLICA_SETS)) == 1
        ending = await world.pods()
        assert len(ending) == 2
        assert all(is_deleting(pod) for pod in ending)
        for pod in ending:
            await world.client.delete(
                PODS, name_of(pod), namespace="default", grace_period_seconds=0
            )
        await world.settle()
        assert not await world.names(REPLICA_SETS)
        assert not await world.names(DEPLOYMENTS)


async def test_orphan_leaves_the_dependents_without_an_owner(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=2))
        await world.settle()
        await world.client.delete(DEPLOYMENTS, "web", namespace="default", propagation="Orphan")
        await world.settle()
        assert not await world.names(DEPLOYMENTS)
        (replica_set,) = (await world.client.list(REPLICA_SETS, namespace="default")).items
        assert not owner_references_of(replica_set)
        assert len(await world.names(PODS)) == 2


async def test_one_of_two_owners_gone_only_drops_its_reference(tmp_path):
    async with running_controllers(tmp_path) as world:
        first = await world.client.create(CONFIG_MAPS, _config_map("first"))
        second = await world.client.create(CONFIG_MAPS, _config_map("second"))
        await world.client.create(CONFIG_MAPS, _config_map("child", first, second))
        await world.client.delete(CONFIG_MAPS, "first", namespace="default")
        await world.settle()
        child = await world.get(CONFIG_MAPS, "child")
        assert [r["name"] for r in owner_references_of(child)] == ["second"]
        await world.client.delete(CONFIG_MAPS, "second", namespace="default")
        await world.settle()
        assert not await _mapped(world)


async def test_what_names_an_owner_that_never_was_goes(tmp_path):
    async with running_controllers(tmp_path) as world:
        ghost = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"},
        }
        stranger = {
            "apiVersion": "example.com/v1",
            "kind": "Unknown",
            "metadata": {"name": "x", "uid": "11111111-0000-0000-0000-000000000000"},
        }
        await world.client.create(CONFIG_MAPS, _config_map("lost", ghost))
        await world.client.create(CONFIG_MAPS, _config_map("kept", stranger))
        await world.settle()
        assert await _mapped(world) == {"kept"}


async def test_a_new_owner_of_the_same_name_does_not_hold_the_old_ones_dependents(tmp_path):
    async with running_controllers(tmp_path) as world:
        first = await world.client.create(CONFIG_MAPS, _config_map("owner"))
        await world.client.create(CONFIG_MAPS, _config_map("child", first))
        await world.client.delete(CONFIG_MAPS, "owner", namespace="default")
        await world.client.create(CONFIG_MAPS, _config_map("owner"))
        await world.settle()
        assert await _mapped(world) == {"owner"}


async def test_a_namespace_takes_all_it_holds(tmp_path):
    async with running_controllers(tmp_path) as world:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        await world.client.create(NAMESPACES, namespace)
        await world.settle()
        assert await world.names(SERVICE_ACCOUNTS, "shop") == {"default"}
        root = await world.client.get(CONFIG_MAPS, "kube-root-ca.crt", namespace="shop")
        assert root["data"] == {"ca.crt": ROOT_CA}
        wanted = deployment()
        wanted["metadata"]["namespace"] = "shop"
        await world.client.create(DEPLOYMENTS, wanted)
        await world.settle()
        await world.client.delete(NAMESPACES, "shop")
        await world.settle()
        with pytest.raises(NotFound):
            await world.client.get(NAMESPACES, "shop")
        for resource in (DEPLOYMENTS, REPLICA_SETS, PODS, SERVICE_ACCOUNTS, CONFIG_MAPS, EVENTS):
            assert not await world.names(resource, "shop")


async def test_the_default_account_and_the_root_certificate_come_back(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.delete(SERVICE_ACCOUNTS, "default", namespace="default")
        wrong = {"data": {"ca.crt": "forged"}}
        await world.client.patch(CONFIG_MAPS, "kube-root-ca.crt", wrong, namespace="default")
        await world.settle()
        assert "default" in await world.names(SERVICE_ACCOUNTS)
        root = await world.get(CONFIG_MAPS, "kube-root-ca.crt")
        assert root["data"] == {"ca.crt": ROOT_CA}


async def test_events_end_an_hour_after_they_were_last_seen(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        assert await world.names(EVENTS)
        await world.advance(3590)
        assert await world.names(EVENTS)
        await world.advance(11)
        assert not await world.names(EVENTS)
