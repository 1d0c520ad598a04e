"""What a cluster has from the start, also after an upgrade."""

from __future__ import annotations

from pathlib import Path

from tests.support.api import running_api
from tidegate.apiserver.bootstrap import bootstrap
from tidegate.kube.client import Client
from tidegate.kube.objects import Object, thaw
from tidegate.kube.resources import CLUSTER_ROLES


async def _start(client: Client) -> Object:
    await bootstrap(client, node="tidegate", address="127.0.0.1", port=6443)
    return await client.get(CLUSTER_ROLES, "system:node")


async def test_rights_that_a_new_version_adds_reach_an_existing_cluster(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        client = api.client()
        first = thaw(await _start(client))
        older = {**first, "rules": first["rules"][1:]}
        await client.update(CLUSTER_ROLES, older)
        again = await _start(client)
        assert sorted(map(str, again["rules"])) == sorted(map(str, first["rules"]))


async def test_a_role_whose_operator_keeps_it_stays_as_it_is(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        client = api.client()
        kept = thaw(await _start(client))
        kept["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
        kept["rules"] = []
        await client.update(CLUSTER_ROLES, kept)
        assert (await _start(client))["rules"] == []
