"""Runs through the portal's API and its stream of events, as the page uses them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.conftest import Portal
from tests.fakes import SERVICE, FakeGateway, picture, png, pod


async def paint_when_released(gateway: FakeGateway, payload: dict[str, Any]) -> Response:
    await gateway.release.wait()
    return picture("pod-a")


async def test_each_request_becomes_a_picture_with_pod_and_times(portal: Portal) -> None:
    assert (await portal.start_run(total=7)).status_code == 201

    told = await portal.until_over()

    assert told.run["status"] == "finished"
    assert (told.run["done"], told.run["failed"], told.run["in_flight"]) == (7, 0, 0)
    assert told.run["throughput"] > 0
    assert 0 < told.run["p50"] <= told.run["p90"] <= told.run["p95"] <= told.run["p99"]
    assert told.states() == ["done"] * 7
    for shot in told.shots.values():
        assert shot["pod"] == f"pod-{shot['seed'] % 3}"
        assert (shot["queued"], shot["service"]) == (0.25, 0.7505)
        image = await portal.client.get(f"/api/run/{told.run['id']}/images/{shot['number']}.png")
        assert image.headers["content-type"] == "image/png"
        assert image.content == png((9, 9, 9))


async def test_requests_are_fresh_and_differ_by_their_seed_only(portal: Portal) -> None:
    await portal.start_run(total=6)
    await portal.until_over()

    assert {payload["prompt"] for payload in portal.gateway.payloads} == {"cat"}
    assert len({payload["seed"] for payload in portal.gateway.payloads}) == 6
    assert not any("cookie" in request.headers for request in portal.gateway.seen)
    assert len({request.client for request in portal.gateway.seen}) == 6
    assert portal.gateway.seen[0].headers["host"] == "knative-sd-demo.default.example.com"


@pytest.mark.parametrize(("concurrency", "total", "most"), [(1, 3, 1), (3, 9, 3), (5, 2, 2)])
async def test_never_more_at_once_than_asked_for(
    portal: Portal, concurrency: int, total: int, most: int
) -> None:
    portal.gateway.painter = paint_when_released
    await portal.start_run(concurrency=concurrency, total=total)
    await portal.gateway.until_arrived(most)
    portal.gateway.release.set()

    told = await portal.until_over()

    assert told.run["done"] == total
    assert portal.gateway.most_in_flight == most
    assert max(sample[1] for sample in told.samples) == most


async def test_stop_sends_no_more_but_lets_those_in_flight_end(portal: Portal) -> None:
    portal.gateway.painter = paint_when_released
    await portal.start_run(concurrency=2, total=6)
    await portal.gateway.until_arrived(2)

    await portal.stop_run()
    told = await portal.until(lambda told: told.run["status"] == "stopping")
    assert told.states().count("in-flight") == 2
    portal.gateway.release.set()
    told = await portal.until_over()

    assert told.run["status"] == "stopped"
    assert told.states() == ["done", "done", "skipped", "skipped", "skipped", "skipped"]
    assert len(portal.gateway.payloads) == 2


async def test_stop_now_drops_those_in_flight(portal: Portal) -> None:
    portal.gateway.painter = paint_when_released
    await portal.start_run(concurrency=2, total=3)
    await portal.gateway.until_arrived(2)

    await portal.stop_run(now=True)
    told = await portal.until_over()

    assert told.states() == ["failed", "failed", "skipped"]
    assert told.shots[0]["reason"] == "Stopped before the answer came."
    portal.gateway.release.set()
    assert (await portal.start_run(total=1)).status_code == 201
    assert (await portal.until(lambda told: told.run["total"] == 1)).run["status"]


async def test_a_reload_in_the_middle_shows_the_run(portal: Portal) -> None:
    async def paint(gateway: FakeGateway, payload: dict[str, Any]) -> Response:
        if len(gateway.payloads) > 2:
            await gateway.release.wait()
        return picture("pod-a")

    portal.gateway.painter = paint
    await portal.start_run(concurrency=2, total=5, prompt="a red heart")
    await portal.until(lambda told: told.run["done"] == 2)

    told = await portal.until(lambda told: told.messages == 1)

    assert told.run["prompt"] == "a red heart"
    assert told.run["status"] == "running"
    assert told.states() == ["done", "done", "in-flight", "in-flight", "waiting"]
    assert told.samples
    image = await portal.client.get(f"/api/run/{told.run['id']}/images/1.png")
    assert image.status_code == 200


async def test_one_run_at_a_time(portal: Portal) -> None:
    portal.gateway.painter = paint_when_released
    await portal.start_run()

    refused = await portal.start_run()

    assert refused.status_code == 409
    assert "running already" in refused.json()["error"]


async def test_the_next_run_replaces_the_pictures(portal: Portal) -> None:
    first = (await portal.start_run(total=1)).json()["id"]
    await portal.until_over()
    assert (await portal.client.get(f"/api/run/{first}/images/0.png")).status_code == 200

    await portal.start_run(total=1)

    assert (await portal.client.get(f"/api/run/{first}/images/0.png")).status_code == 404


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (JSONResponse({"detail": "no slot"}, status_code=503), "503 Service Unavailable: no slot"),
        (
            JSONResponse({"detail": [{"loc": ["body", "seed"]}]}, status_code=422),
            '422 Unprocessable Entity: [{"loc": ["body", "seed"]}]',
        ),
        (
            PlainTextResponse("out of\nmemory", status_code=500),
            "500 Internal Server Error: out of memory",
        ),
        (PlainTextResponse("<html>Bad</html>", status_code=502), "502 Bad Gateway."),
        (JSONResponse({"images": []}), "The answer holds no picture (images[0] in base64)."),
        (JSONResponse([]), "The answer holds no picture (images[0] in base64)."),
        (JSONResponse({"images": ["aGk="]}), "The picture in the answer is no PNG."),
    ],
)
async def test_a_failure_shows_its_reason(portal: Portal, answer: Response, reason: str) -> None:
    async def paint(gateway: FakeGateway, payload: dict[str, Any]) -> Response:
        return answer if len(gateway.payloads) == 1 else picture("pod-a")

    portal.gateway.painter = paint
    await portal.start_run(concurrency=1, total=2)

    told = await portal.until_over()

    assert told.states() == ["failed", "done"]
    assert told.shots[0]["reason"] == reason
    assert (told.run["done"], told.run["failed"]) == (1, 1)


async def test_without_a_route_each_request_says_so(portal: Portal) -> None:
    portal.kubernetes.ingress = None
    await portal.start_run(total=1)

    told = await portal.until_over()

    assert "no route yet" in told.shots[0]["reason"]


async def test_pods_come_and_go_on_the_page(portal: Portal) -> None:
    portal.kubernetes.pods = [pod("sd-1"), pod("sd-2", ready=False)]
    told = await portal.until(lambda told: len(told.pods["pods"]) == 2)
    assert [(p["name"], p["state"]) for p in told.pods["pods"]] == [
        ("sd-1", "ready"),
        ("sd-2", "starting"),
    ]
    assert set(portal.kubernetes.selectors) == {"serving.knative.dev/service=knative-sd-demo"}

    portal.kubernetes.pods = []
    told = await portal.until(lambda told: told.pods["pods"] == [])
    assert told.pods["error"] == ""


async def test_it_lists_pods_and_gets_the_ingress_and_asks_for_nothing_else(
    portal: Portal,
) -> None:
    await portal.client.get("/api/gateway")
    await portal.service_page.get("/echo")
    await portal.start_run(total=2)
    await portal.until_over()
    await portal.kubernetes.listed.wait()

    assert portal.kubernetes.asked == {
        ("GET", "/api/v1/namespaces/default/pods"),
        ("GET", f"/apis/networking.k8s.io/v1/namespaces/default/ingresses/{SERVICE}"),
    }


async def test_a_refusal_of_the_api_is_shown_and_does_not_stop_the_run(portal: Portal) -> None:
    portal.kubernetes.forbidden = {"pods"}
    await portal.start_run(total=2)

    told = await portal.until(lambda told: told.pods["forbidden"] and told.run["done"] == 2)

    assert told.pods["error"] == "The Kubernetes API refuses: pods is forbidden"


async def test_a_refused_ingress_is_the_reason_of_the_failure(portal: Portal) -> None:
    portal.kubernetes.forbidden = {"ingresses"}
    await portal.start_run(total=1)

    told = await portal.until_over()

    assert told.shots[0]["reason"] == "The Kubernetes API refuses: ingresses is forbidden"


async def test_a_rotated_token_is_used_at_once(portal: Portal) -> None:
    portal.kubernetes.pods = [pod("sd-1")]
    await portal.until(lambda told: len(told.pods["pods"]) == 1)

    portal.kubernetes.token = "second-token"
    told = await portal.until(lambda told: "Unauthorized" in told.pods["error"])
    portal.authority.write_token("second-token\n")
    told = await portal.until(lambda told: told.pods["error"] == "")

    assert len(told.pods["pods"]) == 1


async def test_nothing_is_asked_of_the_api_while_nobody_looks(portal: Portal) -> None:
    assert portal.kubernetes.selectors == []
    await portal.until(lambda told: told.messages == 1)
    await portal.kubernetes.listed.wait()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x" * 1001}, "prompt"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 6}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"total": 201}, "total"),
        ({"total": None}, "total"),
    ],
)
async def test_a_bad_field_is_named(portal: Portal, change: dict[str, Any], field: str) -> None:
    response = await portal.start_run(**change)

    assert response.status_code == 422
    assert response.json()["field"] == field


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "text/plain"}, b"{}"),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}, b"{}"),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, b"{}"),
    ],
)
async def test_other_origins_cannot_start_a_run(
    portal: Portal, headers: dict[str, str], content: bytes
) -> None:
    for path in ("/api/run", "/api/run/stop"):
        response = await portal.client.post(path, headers=headers, content=content)
        assert response.status_code == 403
        assert response.json()["error"].startswith("Only the portal's own page")


@pytest.mark.parametrize(("body", "status"), [(b"{", 422), (b"[]", 422), (b"x" * 70_000, 413)])
async def test_a_body_that_is_no_object_is_refused(
    portal: Portal, body: bytes, status: int
) -> None:
    response = await portal.client.post(
        "/api/run", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == status


async def test_shutting_down_ends_open_pages_and_the_run(portal: Portal) -> None:
    portal.gateway.painter = paint_when_released
    await portal.start_run()
    await portal.gateway.until_arrived(3)

    async with portal.client.stream("GET", "/api/events") as response:
        lines = response.aiter_lines()
        await anext(lines)
        portal.stop.set()
        async with asyncio.timeout(10):
            assert [line async for line in lines if "finished" in line] == []
