"""From a gateway and the API's Deployments to the text that Prometheus reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.console.world import add, deployment
from tests.observability.support import LABELS, observed, samples
from tests.support.requests import DEMO, Answer, Waiting
from tidegate.kube.resources import DEPLOYMENTS


async def test_metrics_of_a_revision(tmp_path: Path) -> None:
    async with observed(tmp_path) as (api, gateway, observability):
        await add(api, DEPLOYMENTS, deployment("demo", "demo-00001", desired=3, ready=2))
        await api.eventually(lambda: observability.store.gauges(DEMO).ready == 2)
        gateway.answer(Answer(total_ms=30), Answer(total_ms=700, cold_start=0.6, queued_ms=600))
        gateway.answer(Answer(status=503, pod="", total_ms=1), Answer(status=-1, termination="CC"))
        gateway.load(Waiting(in_flight=2, queued=4, held=1))
        await api.eventually(lambda: observability.store.gauges(DEMO).queued == 4)

        found = samples(await observability.metrics())

    def value(name: str, **more: str) -> float:
        return found[(name, frozenset({**LABELS, **more}.items()))]

    assert value("revision_request_count", response_code="200", response_code_class="2xx") == 2
    assert value("revision_request_count", response_code="503", response_code_class="5xx") == 1
    assert value("revision_request_count", response_code="0", response_code_class="none") == 1
    assert value("revision_request_latencies_bucket", le="40.0") == 2
    assert value("revision_request_latencies_bucket", le="+Inf") == 4
    assert value("revision_request_latencies_sum") == 831
    assert value("tidegate_queue_wait_milliseconds_sum") == 600
    assert value("tidegate_cold_starts_total") == 1
    assert value("tidegate_rejected_requests_total") == 1
    assert value("tidegate_abandoned_requests_total") == 1
    assert value("queue_average_concurrent_requests") == 2
    assert value("revision_queue_depth") == 4
    assert value("tidegate_held_requests") == 1
    assert value("autoscaler_desired_pods") == 3
    assert value("autoscaler_actual_pods") == 2
    assert found[("process_resident_memory_bytes", frozenset())] > 0


async def test_a_deleted_revision_leaves_the_metrics(tmp_path: Path) -> None:
    async with observed(tmp_path) as (api, gateway, observability):
        await add(api, DEPLOYMENTS, deployment("demo", "demo-00001", desired=1, ready=1))
        await api.eventually(lambda: observability.store.gauges(DEMO).ready == 1)
        gateway.answer(Answer())
        assert b"demo-00001" in await observability.metrics()
        await api.client().delete(DEPLOYMENTS, "demo-00001-deployment", namespace="default")
        await api.eventually(lambda: not observability.store.totals())
        assert b"demo-00001" not in await observability.metrics()


async def test_labels_with_quotes_stay_readable(tmp_path: Path) -> None:
    async with observed(tmp_path) as (_, gateway, observability):
        await asyncio.sleep(0)
        gateway.answer(Answer(revision=type(DEMO)("default", 'a"b\\c')))
        found = samples(await observability.metrics())
    assert any(("revision_name", 'a"b\\c') in labels for _, labels in found)


@pytest.mark.parametrize("status", [200, 204, 301, 404, 500, 599])
async def test_every_status_has_its_class(tmp_path: Path, status: int) -> None:
    async with observed(tmp_path) as (_, gateway, observability):
        await asyncio.sleep(0)
        gateway.answer(Answer(status=status))
        found = samples(await observability.metrics())
    classes = {dict(labels).get("response_code_class") for name, labels in found if "count" in name}
    assert f"{status // 100}xx" in classes
