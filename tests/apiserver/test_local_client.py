"""The in-process client against a real store."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.api import running_api
from tidegate.kube.client import EventType, PatchType
from tidegate.kube.errors import AlreadyExists, Conflict, Gone, NotFound
from tidegate.kube.objects import thaw
from tidegate.kube.resources import CONFIG_MAPS, NAMESPACES, PODS


def config_map(name: str, namespace: str = "default", **data: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


async def test_create_get_update_delete(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        created = await client.create(CONFIG_MAPS, config_map("a", x="1"))
        assert created["metadata"]["uid"]
        assert created["metadata"]["creationTimestamp"].endswith("Z")
        assert await client.get(CONFIG_MAPS, "a", namespace="default") is created

        changed = thaw(created)
        changed["data"]["x"] = "2"
        updated = await client.update(CONFIG_MAPS, changed)
        assert int(updated["metadata"]["resourceVersion"]) > int(
            created["metadata"]["resourceVersion"]
        )
        with pytest.raises(Conflict):
            await client.update(CONFIG_MAPS, {**changed, "data": {"x": "3"}})

        await client.delete(CONFIG_MAPS, "a", namespace="default")
        with pytest.raises(NotFound):
            await client.get(CONFIG_MAPS, "a", namespace="default")


async def test_create_twice_is_refused_even_at_once(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        results = await asyncio.gather(
            *(client.create(CONFIG_MAPS, config_map("a")) for _ in range(5)),
            return_exceptions=True,
        )
        assert sum(isinstance(r, dict) for r in results) == 1
        assert sum(isinstance(r, AlreadyExists) for r in results) == 4


async def test_update_without_change_keeps_the_version(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        created = await client.create(CONFIG_MAPS, config_map("a", x="1"))
        assert await client.update(CONFIG_MAPS, created) is created
        assert await client.patch(CONFIG_MAPS, "a", {}, namespace="default") is created


@pytest.mark.parametrize(
    ("patch_type", "patch"),
    [
        (PatchType.MERGE, {"data": {"x": None, "y": "2"}}),
        (
            PatchType.JSON,
            [
                {"op": "remove", "path": "/data/x"},
                {"op": "add", "path": "/data/y", "value": "2"},
            ],
        ),
    ],
)
async def test_patch(tmp_path, patch_type, patch):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(CONFIG_MAPS, config_map("a", x="1"))
        patched = await client.patch(
            CONFIG_MAPS, "a", patch, namespace="default", patch_type=patch_type
        )
        assert patched["data"] == {"y": "2"}


async def test_watch_follows_a_list(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        listing = await client.list(CONFIG_MAPS)
        async with client.watch(CONFIG_MAPS, resource_version=listing.resource_version) as events:
            await client.create(CONFIG_MAPS, config_map("a"))
            await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, namespace="default")
            await client.delete(CONFIG_MAPS, "a", namespace="default")
            seen = [await anext(events) for _ in range(3)]
        assert [e.type for e in seen] == [
            EventType.ADDED,
            EventType.MODIFIED,
            EventType.DELETED,
        ]
        versions = [int(e.object["metadata"]["resourceVersion"]) for e in seen]
        assert versions == sorted(set(versions))


async def test_watch_with_a_selector_sees_objects_come_and_go(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(CONFIG_MAPS, config_map("a"))
        version = (await client.list(CONFIG_MAPS)).resource_version
        async with client.watch(
            CONFIG_MAPS, resource_version=version, label_selector="on=yes"
        ) as events:
            for value in ("yes", "no"):
                patch = {"metadata": {"labels": {"on": value}}}
                await client.patch(CONFIG_MAPS, "a", patch, namespace="default")
            seen = [await anext(events) for _ in range(2)]
        assert [e.type for e in seen] == [EventType.ADDED, EventType.DELETED]
        assert seen[1].object["metadata"]["labels"] == {"on": "yes"}


async def test_watch_from_a_version_never_given_is_gone(tmp_path):
    async with running_api(tmp_path) as api:
        with pytest.raises(Gone):
            async with api.client().watch(CONFIG_MAPS, resource_version="999999"):
                pass


async def test_finalizers_hold_an_object(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        obj = config_map("a")
        obj["metadata"]["finalizers"] = ["example.com/wait"]
        await client.create(CONFIG_MAPS, obj)
        await client.delete(CONFIG_MAPS, "a", namespace="default")
        held = await client.get(CONFIG_MAPS, "a", namespace="default")
        assert held["metadata"]["deletionTimestamp"]
        await client.patch(
            CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace="default"
        )
        with pytest.raises(NotFound):
            await client.get(CONFIG_MAPS, "a", namespace="default")


async def test_assigned_pods_end_gracefully(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
        }
        await client.create(PODS, pod)
        await client.delete(PODS, "p", namespace="default", grace_period_seconds=10)
        ending = await client.get(PODS, "p", namespace="default")
        assert ending["metadata"]["deletionGracePeriodSeconds"] == 10
        await client.delete(PODS, "p", namespace="default", grace_period_seconds=0)
        with pytest.raises(NotFound):
            await client.get(PODS, "p", namespace="default")


async def test_a_namespace_ends_when_its_finalizers_are_gone(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        namespace = {
            "metadata": {"name": "team"},
            "spec": {"finalizers": ["kubernetes"]},
        }
        await client.create(NAMESPACES, namespace)
        await client.delete(NAMESPACES, "team")
        ending = thaw(await client.get(NAMESPACES, "team"))
        assert ending["status"]["phase"] == "Terminating"
        ending["spec"]["finalizers"] = []
        await client.update(NAMESPACES, ending, subresource="finalize")
        with pytest.raises(NotFound):
            await client.get(NAMESPACES, "team")


async def test_everything_is_there_after_a_restart(tmp_path):
    async with running_api(tmp_path) as api:
        created = await api.client().create(CONFIG_MAPS, config_map("a", x="1"))
        await api.client().create(CONFIG_MAPS, config_map("b"))
        await api.client().delete(CONFIG_MAPS, "b", namespace="default")
        version = api.store.version
    async with running_api(tmp_path) as api:
        assert api.store.version == version
        assert await api.client().get(CONFIG_MAPS, "a", namespace="default") == created
