"""Lists as of a version, and the rest of a list whose pages have expired."""

from __future__ import annotations

import pytest

from tests.support.api import running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.apiserver.options import ListOptions
from tidegate.apiserver.requests import RequestContext, User
from tidegate.kube.errors import BadRequest, Gone
from tidegate.kube.resources import CONFIG_MAPS

CONTEXT = RequestContext(User("someone"))


async def made(api, *names: str, **data: str) -> int:
    for name in names:
        meta = {"name": name, "namespace": "default"}
        await api.client().create(CONFIG_MAPS, {"metadata": meta, "data": data})
    return api.store.version


async def listed(api, **options):
    spec = api.api.registry.of(CONFIG_MAPS)
    return await api.api.list(CONTEXT, spec, namespace="default", options=ListOptions(**options))


def names(listing) -> list[str]:
    return [item.object["metadata"]["name"] for item in listing.items]


async def test_a_list_as_of_a_version_undoes_what_came_after(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        version = await made(api, "a", "b", text="before")
        await made(api, "c")
        await client.patch(CONFIG_MAPS, "a", {"data": {"text": "after"}}, namespace="default")
        await client.delete(CONFIG_MAPS, "b", namespace="default")
        then = await listed(api, resource_version=str(version), resource_version_match="Exact")
        assert names(then) == ["a", "b"]
        assert then.version == version
        assert then.items[0].object["data"] == {"text": "before"}
        assert names(await listed(api, resource_version=str(version))) == ["a", "c"]


async def test_a_version_with_a_limit_is_meant_exactly(tmp_path):
    async with running_api(tmp_path) as api:
        version = str(await made(api, "a", "b"))
        await api.client().delete(CONFIG_MAPS, "a", namespace="default")
        assert names(await listed(api, resource_version=version, limit=1)) == ["a"]
        assert names(await listed(api, resource_version="0", limit=1)) == ["b"]


async def test_a_version_from_before_the_log_is_gone(tmp_path):
    async with running_api(tmp_path) as api:
        await made(api, "a")
    async with running_api(tmp_path) as api:
        with pytest.raises(Gone, match="too old"):
            await listed(api, resource_version="1", resource_version_match="Exact")


async def test_the_rest_of_an_expired_list_can_be_had_as_it_is_now(tmp_path):
    clock = VirtualClock()
    async with running_api(tmp_path, clock) as api:
        await made(api, "a", "b", "d", "e", "f")
        first = await listed(api, limit=2)
        await made(api, "c")
        await api.client().delete(CONFIG_MAPS, "e", namespace="default")
        await clock.advance(3600)
        with pytest.raises(Gone, match="inconsistent list") as expired:
            await listed(api, limit=2, continue_token=first.continue_token)
        status = expired.value.status()
        assert (status["reason"], status["code"]) == ("Expired", 410)
        second = await listed(api, limit=2, continue_token=status["metadata"]["continue"])
        third = await listed(api, limit=2, continue_token=second.continue_token)
        assert names(second) + names(third) == ["c", "d", "f"]
        assert second.version == third.version == api.store.version


async def test_the_remaining_count_is_not_told_of_a_selection(tmp_path):
    async with running_api(tmp_path) as api:
        await made(api, "a", "b", "c")
        assert (await listed(api, limit=1)).remaining == 2
        selected = await listed(api, limit=1, label_selector="!x")
        assert (selected.remaining, bool(selected.continue_token)) == (None, True)


async def test_a_continued_list_has_its_version_already(tmp_path):
    async with running_api(tmp_path) as api:
        await made(api, "a", "b")
        token = (await listed(api, limit=1)).continue_token
        with pytest.raises(BadRequest, match="not allowed when using continue"):
            await listed(api, continue_token=token, resource_version="1")
