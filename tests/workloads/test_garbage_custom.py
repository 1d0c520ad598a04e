"""Owners and dependents of kinds that CustomResourceDefinitions define, and of no kind at all."""

from __future__ import annotations

import pytest

from tests.workloads.support import running_controllers
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import (
    condition_of,
    is_deleting,
    owner_reference,
    owner_references_of,
)
from tidegate.kube.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    NAMESPACES,
    Resource,
)

WIDGETS = Resource("example.com", "v1", "Widget", "widgets")
FLEETS = Resource("example.com", "v1", "Fleet", "fleets", False)
HELD = "example.com/held"


def _definition(resource: Resource) -> dict:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.qualified},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {"plural": resource.plural, "kind": resource.kind},
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
            ],
        },
    }


def _object(kind: str, name: str, *owners: dict, namespace: str = "default", **metadata) -> dict:
    api_version = "v1" if kind == "ConfigMap" else "example.com/v1"
    found = {"name": name, **metadata}
    if kind != "Fleet":
        found["namespace"] = namespace
    if owners:
        found["ownerReferences"] = [owner_reference(o, controller=False) for o in owners]
    return {"apiVersion": api_version, "kind": kind, "metadata": found}


async def _define(world, *resources: Resource) -> None:
    for resource in resources:
        await world.client.create(CUSTOM_RESOURCE_DEFINITIONS, _definition(resource))
    await world.settle()


async def test_background_between_a_custom_and_a_built_in_kind(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _define(world, WIDGETS)
        first = await world.client.create(CONFIG_MAPS, _object("ConfigMap", "first"))
        middle = await world.client.create(WIDGETS, _object("Widget", "middle", first))
        await world.client.create(CONFIG_MAPS, _object("ConfigMap", "last", middle))
        await world.settle()
        await world.client.delete(CONFIG_MAPS, "first", namespace="default")
        await world.settle()
        assert not await world.names(WIDGETS)
        assert await world.names(CONFIG_MAPS) == {"kube-root-ca.crt"}


async def test_foreground_waits_for_custom_dependents_with_finalizers(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _define(world, WIDGETS)
        owner = await world.client.create(WIDGETS, _object("Widget", "owner"))
        child = _object("Widget", "child", owner, finalizers=[HELD])
        child["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = True
        await world.client.create(WIDGETS, child)
        await world.settle()
        await world.client.delete(WIDGETS, "owner", namespace="default", propagation="Foreground")
        await world.settle()
        assert await world.names(WIDGETS) == {"owner", "child"}
        assert is_deleting(await world.get(WIDGETS, "child"))
        free = {"metadata": {"finalizers": None}}
        await world.client.patch(WIDGETS, "child", free, namespace="default")
        await world.settle()
        assert not await world.names(WIDGETS)


async def test_orphan_frees_custom_dependents(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _define(world, WIDGETS)
        owner = await world.client.create(CONFIG_MAPS, _object("ConfigMap", "owner"))
        await world.client.create(WIDGETS, _object("Widget", "child", owner))
        await world.settle()
        await world.client.delete(CONFIG_MAPS, "owner", namespace="default", propagation="Orphan")
        await world.settle()
        assert "owner" not in await world.names(CONFIG_MAPS)
        assert not owner_references_of(await world.get(WIDGETS, "child"))


async def test_a_kind_that_goes_takes_its_objects_and_what_they_own(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _define(world, WIDGETS)
        owner = await world.client.create(WIDGETS, _object("Widget", "owner"))
        await world.client.create(CONFIG_MAPS, _object("ConfigMap", "child", owner))
        await world.settle()
        await world.client.delete(CUSTOM_RESOURCE_DEFINITIONS, WIDGETS.qualified)
        for _ in range(5):
            await world.advance(1)
        with pytest.raises(NotFound):
            await world.client.get(CUSTOM_RESOURCE_DEFINITIONS, WIDGETS.qualified)
        assert "child" not in await world.names(CONFIG_MAPS)
        # The same kind again begins with nothing.
        await _define(world, WIDGETS)
        owner = await world.client.create(WIDGETS, _object("Widget", "owner"))
        await world.client.create(CONFIG_MAPS, _object("ConfigMap", "child", owner))
        await world.client.delete(WIDGETS, "owner", namespace="default")
        await world.settle()
        assert "child" not in await world.names(CONFIG_MAPS)


async def test_an_owner_in_another_namespace_owns_nothing(tmp_path):
    async with running_controllers(tmp_path) as world:
        owner = await world.client.create(CONFIG_MAPS, _object("ConfigMap", "owner"))
        other = _object("ConfigMap", "child", owner, namespace="kube-public")
        await world.client.create(CONFIG_MAPS, other)
        await world.client.delete(CONFIG_MAPS, "owner", namespace="default")
        await world.settle()
        assert "child" not in await world.names(CONFIG_MAPS, "kube-public")


async def test_cluster_scoped_kinds_own_and_are_owned(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _define(world, FLEETS, WIDGETS)
        fleet = await world.client.create(FLEETS, _object("Fleet", "fleet"))
        await world.client.create(FLEETS, _object("Fleet", "part", fleet))
        widget = await world.client.create(WIDGETS, _object("Widget", "ship", fleet))
        # What is in no namespace cannot name an owner that is in one; it stays.
        await world.client.create(FLEETS, _object("Fleet", "stray", widget))
        await world.settle()
        await world.client.delete(FLEETS, "fleet")
        await world.settle()
        assert await world.names(FLEETS, None) == {"stray"}
        assert not await world.names(WIDGETS)


async def test_a_namespace_waits_for_the_finalizers_of_its_custom_objects(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _define(world, WIDGETS)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        await world.client.create(NAMESPACES, namespace)
        for name in ("a", "b"):
            held = _object("Widget", name, namespace="shop", finalizers=[HELD])
            await world.client.create(WIDGETS, held)
        await world.client.create(WIDGETS, _object("Widget", "free", namespace="shop"))
        event = {
            "metadata": {"name": "e", "namespace": "shop"},
            "involvedObject": {"namespace": "shop"},
        }
        await world.client.create(EVENTS, event)
        await world.settle()
        await world.client.delete(NAMESPACES, "shop")
        await world.settle()
        assert await world.names(WIDGETS, "shop") == {"a", "b"}
        found = await world.client.get(NAMESPACES, "shop")
        content = condition_of(found, "NamespaceContentRemaining")
        assert content["message"] == (
            "Some resources are remaining: widgets.example.com has 2 resource instances"
        )
        finalizers = condition_of(found, "NamespaceFinalizersRemaining")
        assert finalizers["message"] == (
            "Some content in the namespace has finalizers remaining:"
            f" {HELD} in 2 resource instances"
        )
        for name in ("a", "b"):
            free = {"metadata": {"finalizers": None}}
            await world.client.patch(WIDGETS, name, free, namespace="shop")
        await world.settle()
        with pytest.raises(NotFound):
            await world.client.get(NAMESPACES, "shop")
        assert not await world.names(EVENTS, "shop")
