"""Settings for policies, and demand that a test makes by hand."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.autoscaling import MPA_CLASS
from tidegate.apis.demand import Demand, PodLoad
from tidegate.autoscaling.settings import parse_settings
from tidegate.kube.objects import Key

REVISION = Key("default", "sd-00001")
GATEWAY = "gateway"


def pod_autoscaler(name="sd-00001", *, concurrency=1, reachability="Reachable", **annotations):
    keyed = {f"autoscaling.knative.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    keyed.setdefault("autoscaling.knative.dev/class", MPA_CLASS)
    return {
        "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
        "kind": "PodAutoscaler",
        "metadata": {"name": name, "namespace": "default", "annotations": keyed},
        "spec": {
            "containerConcurrency": concurrency,
            "reachability": reachability,
            "protocolType": "http1",
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{name}-deployment",
            },
        },
    }


def settings(*, concurrency=1, reachability="Reachable", config=None, **annotations):
    """Settings as annotations make them; none of these may have a problem."""
    parsed, problems = parse_settings(
        pod_autoscaler(concurrency=concurrency, reachability=reachability, **annotations),
        config or AutoscalerConfig(),
    )
    assert problems == ()
    return parsed


def demand(total, *, pods=(), requests=0, time=0.0, revision=REVISION, held=0, sessions=()):
    until = dict(sessions)
    loads = tuple(PodLoad(name, count, until.get(name, 0.0)) for name, count in dict(pods).items())
    return Demand(revision, total - held, 0, held, loads, requests, time)


class ManualDemand:
    """A `DemandSource` whose demand is what the test says; the latest wins, as in the gateway."""

    def __init__(self):
        self._latest = {}
        self._fresh = {}
        self._wake = asyncio.Event()

    @property
    def gateways(self):
        return frozenset((GATEWAY,))

    def say(self, item):
        self._latest[item.revision] = item
        self._fresh[item.revision] = item
        self._wake.set()

    def snapshot(self, revision):
        return self._latest.get(revision)

    @asynccontextmanager
    async def subscribe(self):
        yield self._items()

    async def _items(self):
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._fresh:
                yield self._fresh.pop(next(iter(self._fresh)))
