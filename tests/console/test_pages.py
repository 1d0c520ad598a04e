"""What the pages show of a real API's objects, and how they follow its changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import yaml

from tests.console.browser import browser, first, listening
from tests.console.world import (
    Used,
    World,
    add,
    add_demo,
    pod,
    revision,
    running_console,
    service,
)
from tests.support.objects import pod_autoscaler
from tests.support.requests import Answer, Waiting
from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.apis.serving import REVISIONS, SERVICES
from tidegate.console.words import milliseconds
from tidegate.kube.objects import Key
from tidegate.kube.resources import NAMESPACES, PODS
from tidegate.kube.startup import Startup, startup_condition
from tidegate.observability.histogram import bucket_of, value_of

REVISION = Key("default", "demo-00001")
POD = "demo-00001-deployment-5d8f7c6b9d-abcde"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_console(tmp_path) as running:
        yield running


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(world) as opened:
        yield opened


async def holds(client: httpx.AsyncClient, path: str, *texts: str) -> bool:
    answer = await client.get(path)
    return answer.status_code == 200 and all(text in answer.text for text in texts)


async def test_without_services_the_list_says_what_to_do(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert "No services yet" in answer.text
    assert "kubectl apply" in answer.text


async def test_the_list_shows_a_service(world: World, client: httpx.AsyncClient) -> None:
    await add_demo(world.api)
    world.usages.append(Used("default", POD, 120, 0.04, True))
    await world.api.eventually(lambda: holds(client, "/", "demo-00001", "0.0400", ">Ready<"))
    page = (await client.get("/")).text
    assert 'href="http://demo.default.localhost:8080"' in page
    assert 'href="/services/default/demo"' in page
    assert "1.20" in page  # the pod's price per hour


async def test_the_list_follows_changes(world: World, client: httpx.AsyncClient) -> None:
    async with listening(client, "/live/services") as messages:
        await first(messages, with_text="No services yet")
        await add(world.api, SERVICES, service("later", ready="False", message="it is broken"))
        content = await first(messages, with_text="it is broken")
        assert "RevisionMissing" in content
        await world.api.client().delete(SERVICES, "later", namespace="default")
        await first(messages, with_text="No services yet")


async def test_the_list_is_filtered(world: World, client: httpx.AsyncClient) -> None:
    for name in ("alpha", "beta"):
        await add(world.api, SERVICES, service(name))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "staging"}}
    await world.api.client().create(NAMESPACES, namespace)
    moved = service("gamma")
    moved["metadata"]["namespace"] = "staging"
    await add(world.api, SERVICES, moved)
    await world.api.eventually(lambda: holds(client, "/", "alpha", "beta", "gamma"))
    assert not await holds(client, "/?query=ALP", "beta")
    assert await holds(client, "/?query=ALP", "alpha")
    assert not await holds(client, "/?namespace=staging", "services/default/alpha")
    assert await holds(client, "/?namespace=staging", "services/staging/gamma")
    assert await holds(client, "/?query=nobody", "Nothing matches")


async def test_a_service_shows_revisions_pods_conditions_and_events(
    world: World, client: httpx.AsyncClient
) -> None:
    await add_demo(world.api)
    split = service("split", latest="split-00002")
    split["status"]["traffic"] = [
        {"revisionName": "split-00001", "percent": 80},
        {"revisionName": "split-00002", "percent": 15, "latestRevision": True},
        {"revisionName": "split-00002", "percent": 5, "tag": "next", "url": "http://next.x"},
    ]
    await add(world.api, SERVICES, split)
    for name in ("split-00001", "split-00002"):
        await add(world.api, REVISIONS, revision("split", name))
    await world.api.eventually(
        lambda: holds(client, "/services/default/demo", POD, "up to 2", "RoutesReady")
    )
    assert await holds(client, "/services/default/demo", "ecs.gn5-c4g1.xlarge", "100 %")
    await world.api.eventually(
        lambda: holds(client, "/services/default/split", "80 %", "20 %", 'href="http://next.x"')
    )


async def test_a_failing_pod_says_why(world: World, client: httpx.AsyncClient) -> None:
    await add_demo(world.api)
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "lab/nothing"'}
    failing = pod("demo", "demo-00001", "fghij", ready=False, phase="Pending", waiting=waiting)
    await add(world.api, PODS, failing)
    await world.api.eventually(
        lambda: holds(client, "/services/default/demo", "ImagePullBackOff", "lab/nothing")
    )


async def test_the_cost_of_ended_pods_stays_with_their_service(
    world: World, client: httpx.AsyncClient
) -> None:
    await add_demo(world.api)
    world.usages += [
        Used("default", "demo-00001-deployment-77f7c6b9d4-zzzzz", 600, 0.5, False),
        Used("default", "demo-00000-deployment-77f7c6b9d4-yyyyy", 600, 0.25, False),
        Used("default", "demo-other-00001-deployment-77f7c6b9d4-xxxxx", 600, 9.0, False),
        Used("other", "demo-00001-deployment-77f7c6b9d4-wwwww", 600, 9.0, False),
    ]
    await world.api.eventually(
        lambda: holds(client, "/services/default/demo", "2 ended before, 20 min, 0.7500")
    )


async def test_numbers_and_charts_follow_the_gateway(
    world: World, client: httpx.AsyncClient
) -> None:
    await add_demo(world.api)
    await world.api.eventually(lambda: holds(client, "/services/default/demo", POD))
    async with listening(client, "/live/services/default/demo?range=1h") as messages:
        initial = json.loads(await first(messages, name="series"))
        assert initial["reset"]
        assert initial["step"] == 20
        world.gateway.load(Waiting(REVISION, in_flight=3, queued=2))
        world.gateway.answer(*[Answer(REVISION, total_ms=250) for _ in range(40)])
        await first(messages, with_text=milliseconds(value_of(bucket_of(250))))
        rows: dict[float, dict[str, float | None]] = {}
        while not (
            any(row["queued"] == 2 for row in rows.values())
            and any(row["p95"] for row in rows.values())
        ):
            update = json.loads(await first(messages, name="series"))
            assert not update["reset"]
            columns = update["columns"]
            assert {len(column) for column in columns.values()} == {len(columns["time"])}
            for values in zip(*columns.values(), strict=True):
                row = dict(zip(columns, values, strict=True))
                rows[row["time"]] = row
    answered = next(row for row in rows.values() if row["p95"])
    assert answered["p95"] == pytest.approx(0.25, rel=0.01)
    loaded = next(row for row in rows.values() if row["queued"] == 2)
    assert loaded["in_flight"] == 3
    assert loaded["desired"] == 2


async def test_the_last_start_from_zero_is_shown_by_phase(
    world: World, client: httpx.AsyncClient
) -> None:
    held = 1_700_000_000.0
    startup = Startup(held + 0.1, held + 0.1, held + 0.5, held + 1.5)
    demo = pod("demo", "demo-00001", "abcde")
    demo["status"]["conditions"].append(startup_condition(startup))
    await add(world.api, SERVICES, service("demo"))
    await add(world.api, REVISIONS, revision("demo", "demo-00001"))
    await add(world.api, PODS, demo)
    await add(world.api, POD_AUTOSCALERS, pod_autoscaler("demo-00001"))
    assert "Last start from zero" not in (await client.get("/services/default/demo")).text
    world.gateway.answer(Answer(REVISION, pod=POD, cold_start=1.6, held_since=held))
    phases = ("schedule", "100 ms", "start", "400 ms", "ready", "1 s", "route", "Last start")
    await world.api.eventually(lambda: holds(client, "/services/default/demo", *phases))
    page = (await client.get("/services/default/demo")).text
    assert "1.6 s" in page
    assert 'x="31.25" width="62.5"' in page  # ready
    assert 'data-phase="image"' not in page  # it took no time


async def test_a_deleted_service_says_so_on_its_open_page(
    world: World, client: httpx.AsyncClient
) -> None:
    await add_demo(world.api)
    await world.api.eventually(lambda: holds(client, "/services/default/demo", POD))
    async with listening(client, "/live/services/default/demo") as messages:
        await first(messages, with_text="demo-00001")
        await world.api.client().delete(SERVICES, "demo", namespace="default")
        await first(messages, with_text="demo is gone")
    assert (await client.get("/services/default/demo")).status_code == 404


async def test_yaml_is_the_object(world: World, client: httpx.AsyncClient) -> None:
    await add_demo(world.api)
    await world.api.eventually(lambda: holds(client, "/services/default/demo/yaml", "demo"))
    page = (await client.get("/services/default/demo/yaml")).text
    text = page.partition("<code>")[2].partition("</code>")[0]
    shown = yaml.safe_load(text.replace("&#34;", '"').replace("&#39;", "'").replace("&gt;", ">"))
    stored = await world.api.client().get(SERVICES, "demo", namespace="default")
    assert shown["spec"] == stored["spec"]
    page = (await client.get("/services/default/demo/yaml?revision=demo-00001")).text
    assert "kind: Revision" in page


async def test_what_objects_say_is_text_and_never_markup(
    world: World, client: httpx.AsyncClient
) -> None:
    evil = service("evil", ready="False", message="<script>alert(1)</script>")
    evil["status"]["url"] = "javascript:alert(1)"
    await add(world.api, SERVICES, evil)
    await world.api.eventually(lambda: holds(client, "/", "evil"))
    for path in ("/", "/services/default/evil", "/services/default/evil/yaml"):
        page = (await client.get(path)).text
        assert "<script>alert" not in page
        assert 'href="javascript:' not in page


async def test_a_log_is_followed_to_its_end(world: World, client: httpx.AsyncClient) -> None:
    await add_demo(world.api)
    await world.api.eventually(lambda: holds(client, f"/pods/default/{POD}/log", "user-container"))
    path = f"/live/pods/default/{POD}/log?container=user-container"
    async with listening(client, path) as messages:
        await first(messages, name="lines", with_text=f"user-container of default/{POD}")
        world.logs.pieces.put_nowait(b"\x1b[31mone\x1b[0m\ntwo\n 10%\r 90%\rdone\n")
        assert await first(messages, name="lines") == "one\ntwo\ndone"
        world.logs.pieces.put_nowait(None)
        assert "has ended" in await first(messages, name="end")


async def test_a_log_as_text(world: World, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/pods/default/{POD}/log.txt?container=c")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == f"c of default/{POD}\n"
    assert (await client.get("/pods/default/gone/log.txt")).status_code == 404


async def test_what_is_not_there_is_a_page_that_says_so(client: httpx.AsyncClient) -> None:
    for path in ("/nowhere", "/services/default/none", "/pods/default/none/log"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "Show all services" in answer.text


async def test_pages_open_at_once_are_bounded(world: World, client: httpx.AsyncClient) -> None:
    pulse = world.console._pulse
    leaves = [pulse.enter() for _ in range(48)]
    answer = await client.get("/live/services")
    assert answer.status_code == 429
    leaves[0]()
    async with listening(client, "/live/services") as messages:
        await first(messages, with_text="No services yet")
    # The page that has left gives its place back.
    await world.api.eventually(lambda: pulse._listeners == 47)


async def test_it_ends_at_once_though_pages_are_open(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(5):
        async with running_console(tmp_path) as world:
            client = await stack.enter_async_context(browser(world))
            pages = await stack.enter_async_context(listening(client, "/live/services"))
            await first(pages, with_text="No services yet")
            log = await stack.enter_async_context(listening(client, "/live/pods/a/b/log"))
            await first(log, name="lines")
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 1.5
        assert [message async for message in log] == []
