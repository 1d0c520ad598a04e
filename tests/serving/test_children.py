"""Objects that a controller made and does not want any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.api import running_api
from tidegate.kube.clock import SystemClock
from tidegate.kube.errors import Conflict
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, owner_reference
from tidegate.kube.resources import CONFIG_MAPS
from tidegate.serving.children import Children


def config_map(name: str, *owners: Object) -> Object:
    references = [owner_reference(owner) for owner in owners]
    metadata = {"name": name, "namespace": "default", "ownerReferences": references}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def test_a_stale_cache_removes_nobody_elses_object(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        client = api.client()
        owner = await client.create(CONFIG_MAPS, config_map("owner"))
        await client.create(CONFIG_MAPS, config_map("child", owner))
        stale = Informer(client, CONFIG_MAPS, clock=SystemClock())
        following = asyncio.create_task(stale.run())
        await stale.wait_synced()
        following.cancel()
        children = Children(client, stale)

        await client.delete(CONFIG_MAPS, "child", namespace="default")
        await children.remove(owner, "child")
        await client.create(CONFIG_MAPS, config_map("child"))
        with pytest.raises(Conflict):
            await children.remove(owner, "child")
        assert await client.get(CONFIG_MAPS, "child", namespace="default")
