"""Observability on a real API with requests that a test makes up, and what Prometheus reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.console.world import Gateway, Requests
from tests.support.api import RunningApi, running_api
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.observability.assembly import Observability, build

LABELS = {
    "namespace_name": "default",
    "service_name": "demo",
    "configuration_name": "demo",
    "revision_name": "demo-00001",
}


@asynccontextmanager
async def observed(directory: Path) -> AsyncIterator[tuple[RunningApi, Gateway, Observability]]:
    async with running_api(directory) as api:
        clock = SystemClock()
        client = api.client()
        context = Context(client, Informers(client, clock=clock), clock)
        gateway = Gateway()
        observability = build(context, requests=Requests(gateway), loads=gateway)
        async with asyncio.TaskGroup() as group:
            parts = (context.informers, observability)
            tasks = [group.create_task(part.run()) for part in parts]
            yield api, gateway, observability
            for task in tasks:
                task.cancel()


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
