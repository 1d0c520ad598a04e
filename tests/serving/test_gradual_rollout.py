"""A gradual rollout through the API, in virtual time."""

from __future__ import annotations

from pathlib import Path

from tests.serving.support import Cluster, running_serving, service
from tidegate.apis import networking, serving


async def splits(cluster: Cluster) -> dict[str, int]:
    ingress = await cluster.get(networking.INGRESSES, "hello")
    found = ingress["spec"]["rules"][1]["http"]["paths"][0]["splits"]
    return {split["serviceName"]: split["percent"] for split in found}


async def test_traffic_moves_in_steps_and_the_service_says_so(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        obj = service()
        obj["metadata"]["annotations"] = {"serving.knative.dev/rollout-duration": "20s"}
        await cluster.deploy(obj)
        obj = service()
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
        await cluster.apply(serving.SERVICES, obj)
        await cluster.becomes_ready("hello-00002")
        assert await splits(cluster) == {"hello-00001": 99, "hello-00002": 1}

        await cluster.gateway_serves("hello")
        assert await cluster.ready(serving.SERVICES, "hello") == ("Unknown", "RolloutInProgress")
        live = await cluster.get(serving.SERVICES, "hello")
        assert [(item["revisionName"], item["percent"]) for item in live["status"]["traffic"]] == [
            ("hello-00001", 99),
            ("hello-00002", 1),
        ]

        seen = [1]
        for _ in range(30):
            await cluster.clock.advance(1)
            await cluster.settle()
            seen.append((await splits(cluster))["hello-00002"])
            await cluster.gateway_serves("hello")
            if seen[-1] == 100:
                break
        assert seen == sorted(seen)
        assert len(set(seen)) > 5
        assert await splits(cluster) == {"hello-00002": 100}
        assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")
