"""Lists in pages, versions, selectors; watches with initial events; deletes of many; dry runs."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.support.api import running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.apiserver.options import DeleteOptions, ListOptions, WatchOptions
from tidegate.apiserver.refusals import Timeout
from tidegate.apiserver.requests import Decision, FieldValidation, RequestContext, User
from tidegate.kube.client import EventType
from tidegate.kube.errors import BadRequest, Conflict, Forbidden, Gone, MethodNotAllowed, NotFound
from tidegate.kube.resources import CONFIG_MAPS, PODS

CONTEXT = RequestContext(User("someone"))


async def fill(api, count: int) -> None:
    client = api.client()
    for number in range(count):
        labels = {"parity": "even" if number % 2 == 0 else "odd"}
        meta = {"name": f"c{number:02d}", "namespace": "default", "labels": labels}
        await client.create(CONFIG_MAPS, {"metadata": meta})


def names(listing) -> list[str]:
    return [item.object["metadata"]["name"] for item in listing.items]


async def listed(api, **options):
    spec = api.api.registry.of(CONFIG_MAPS)
    return await api.api.list(CONTEXT, spec, namespace="default", options=ListOptions(**options))


async def test_pages_are_one_consistent_list(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 7)
        first = await listed(api, limit=3)
        assert (names(first), first.remaining) == (["c00", "c01", "c02"], 4)
        await api.client().delete(CONFIG_MAPS, "c04", namespace="default")
        second = await listed(api, limit=3, continue_token=first.continue_token)
        third = await listed(api, limit=3, continue_token=second.continue_token)
        assert names(second) + names(third) == ["c03", "c04", "c05", "c06"]
        assert first.version == second.version == third.version
        assert (third.continue_token, third.remaining) == ("", None)


async def test_a_page_asked_for_too_late_is_gone(tmp_path):
    clock = VirtualClock()
    async with running_api(tmp_path, clock) as api:
        await fill(api, 3)
        first = await listed(api, limit=1)
        await clock.advance(3600)
        with pytest.raises(Gone):
            await listed(api, limit=1, continue_token=first.continue_token)


async def test_the_body_of_a_list_is_what_kubernetes_sends(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 2)
        listing = await listed(api, limit=1)
        body = orjson.loads(b"".join(listing.chunks(CONFIG_MAPS)))
        assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
        assert body["metadata"] == {
            "resourceVersion": str(api.store.version),
            "continue": listing.continue_token,
            "remainingItemCount": 1,
        }
        assert body["items"] == [listing.items[0].object]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"label_selector": "parity=odd"}, ["c01", "c03"]),
        ({"label_selector": "parity in (even),parity"}, ["c00", "c02", "c04"]),
        ({"label_selector": "!parity"}, []),
        ({"field_selector": "metadata.name=c02"}, ["c02"]),
        ({"field_selector": "metadata.name!=c02", "label_selector": "parity=even"}, ["c00", "c04"]),
    ],
)
async def test_selectors(tmp_path, options, expected):
    async with running_api(tmp_path) as api:
        await fill(api, 5)
        assert names(await listed(api, **options)) == expected


async def test_versions_asked_for(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 1)
        current = str(api.store.version)
        for options in (
            {"resource_version": current, "resource_version_match": "Exact"},
            {"resource_version": "1", "resource_version_match": "NotOlderThan"},
            {"resource_version": "0"},
        ):
            assert names(await listed(api, **options)) == ["c00"]
        with pytest.raises(Timeout, match="Too large resource version"):
            await listed(api, resource_version="99999")
        for options in (
            {"resource_version": "abc"},
            {"continue_token": "rubbish"},
            {"field_selector": "data.x=1"},
            {"label_selector": "a=b=c d"},
        ):
            with pytest.raises(BadRequest):
                await listed(api, **options)


async def test_initial_events_end_with_a_bookmark(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 2)
        watch = api.api.watch(
            CONTEXT,
            api.api.registry.of(CONFIG_MAPS),
            options=WatchOptions(send_initial_events=True, label_selector="parity=even"),
        )
        first, last = await watch.next()
        assert first.type is EventType.ADDED
        assert last.type is EventType.BOOKMARK
        assert last.stored.object["metadata"]["annotations"] == {
            "k8s.io/initial-events-end": "true"
        }
        await api.client().delete(CONFIG_MAPS, "c00", namespace="default")
        [event] = await watch.next()
        assert event.type is EventType.DELETED
        assert orjson.loads(event.line())["object"]["metadata"]["name"] == "c00"


async def test_a_quiet_watch_moves_on_with_the_store(tmp_path):
    async with running_api(tmp_path) as api:
        watch = api.api.watch(CONTEXT, api.api.registry.of(PODS))
        await fill(api, 3)
        assert await watch.next(timeout=0) == []
        assert watch.bookmark().version == api.store.version


async def test_delete_collection_takes_what_is_selected(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 5)
        spec = api.api.registry.of(CONFIG_MAPS)
        deleted = await api.api.delete_collection(
            CONTEXT, spec, namespace="default", selection=ListOptions(label_selector="parity=even")
        )
        assert len(deleted) == 3
        assert names(await listed(api)) == ["c01", "c03"]


async def test_preconditions_and_policies_of_deletes(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 2)
        client = api.client()
        with pytest.raises(Conflict, match="UID in precondition"):
            await client.delete(CONFIG_MAPS, "c00", namespace="default", uid="other")
        with pytest.raises(Conflict, match="ResourceVersion in precondition"):
            await client.delete(CONFIG_MAPS, "c00", namespace="default", resource_version="1")
        with pytest.raises(BadRequest, match="propagationPolicy"):
            await client.delete(CONFIG_MAPS, "c00", namespace="default", propagation="Maybe")
        for name, policy, finalizer in (
            ("c00", "Foreground", "foregroundDeletion"),
            ("c01", "Orphan", "orphan"),
        ):
            await client.delete(CONFIG_MAPS, name, namespace="default", propagation=policy)
            held = await client.get(CONFIG_MAPS, name, namespace="default")
            assert held["metadata"]["finalizers"] == [finalizer]
            assert held["metadata"]["deletionTimestamp"]


async def test_a_dry_run_does_everything_but_store(tmp_path):
    async with running_api(tmp_path) as api:
        await fill(api, 1)
        context = RequestContext(User("someone"), dry_run=True)
        spec = api.api.registry.of(CONFIG_MAPS)
        before = api.store.version
        obj = {"metadata": {"name": "new", "namespace": "default"}}
        created = await api.api.create(context, spec, obj)
        assert created.object["metadata"]["uid"]
        await api.api.delete(context, spec, "c00", namespace="default")
        await asyncio.sleep(0)
        assert api.store.version == before
        assert names(await listed(api)) == ["c00"]


async def test_unknown_fields_warn_or_vanish_when_not_strict(tmp_path):
    async with running_api(tmp_path) as api:
        spec = api.api.registry.of(CONFIG_MAPS)
        for mode, warned in ((FieldValidation.WARN, True), (FieldValidation.IGNORE, False)):
            context = RequestContext(User("someone"), field_validation=mode)
            obj = {"metadata": {"name": mode.lower(), "namespace": "default"}, "date": {}}
            created = await api.api.create(context, spec, obj)
            assert "date" not in created.object
            assert context.warnings == (['unknown field "date"'] if warned else [])


class Reader:
    """May read and nothing else."""

    def authorize(self, user, verb, resource, subresource="", namespace=None, name=""):
        del resource, subresource, namespace, name
        return Decision(user.name == "test-admin" or verb in ("get", "list", "watch"))


async def test_who_may_not_is_told_what(tmp_path):
    async with running_api(tmp_path, authorizer=Reader()) as api:
        jane = api.client("jane")
        assert (await jane.list(CONFIG_MAPS)).items == []
        with pytest.raises(Forbidden) as refused:
            await jane.delete(PODS, "x", namespace="default")
        assert refused.value.message == (
            'pods "x" is forbidden: User "jane" cannot delete resource "pods" in API group ""'
            ' in the namespace "default"'
        )
        with pytest.raises(Forbidden, match=r'"pods/status" .* in the namespace "default"'):
            await jane.patch(PODS, "x", {}, namespace="default", subresource="status")


async def test_binding_and_eviction(tmp_path):
    async with running_api(tmp_path) as api:
        spec = api.api.registry.of(PODS)
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await api.client().create(PODS, pod, namespace="default")

        async def post(subresource: str, body: dict) -> None:
            await api.api.create(
                CONTEXT, spec, body, namespace="default", name="p", subresource=subresource
            )

        await post("binding", {"target": {"name": "n"}})
        bound = await api.client().get(PODS, "p", namespace="default")
        assert bound["spec"]["nodeName"] == "n"
        with pytest.raises(Conflict, match="already assigned"):
            await post("binding", {"target": {"name": "m"}})
        await post("eviction", {"deleteOptions": {"gracePeriodSeconds": 0}})
        with pytest.raises(NotFound):
            await api.client().get(PODS, "p", namespace="default")


async def test_subresources_have_no_verbs_but_their_own(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        pod = {
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        created = await client.create(PODS, pod)
        for subresource in ("log", "binding", "eviction", "exec"):
            with pytest.raises(MethodNotAllowed):
                await client.update(PODS, created, subresource=subresource)
            with pytest.raises(MethodNotAllowed):
                await client.patch(
                    PODS, "p", {"metadata": {}}, namespace="default", subresource=subresource
                )
        with pytest.raises(NotFound):
            await client.update(PODS, created, subresource="nonsense")


async def test_grace_periods_only_get_shorter(tmp_path):
    async with running_api(tmp_path) as api:
        spec = api.api.registry.of(PODS)
        pod = {
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
        }
        await api.client().create(PODS, pod)
        seconds = []
        for grace in (None, 60, 5):
            options = DeleteOptions(grace_period_seconds=grace)
            deletion = await api.api.delete(
                CONTEXT, spec, "p", namespace="default", options=options
            )
            assert not deletion.removed
            seconds.append(deletion.stored.object["metadata"]["deletionGracePeriodSeconds"])
        assert seconds == [30, 30, 5]
