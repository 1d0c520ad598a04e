"""EndpointSlices and Endpoints on a real API."""

from __future__ import annotations

from tests.workloads.support import deployment, running_controllers
from tidegate.kube.objects import name_of
from tidegate.kube.resources import DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES


def _service(**spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": 8080}],
            **spec,
        },
    }


async def _slices(world):
    items = (await world.client.list(ENDPOINT_SLICES, namespace="default")).items
    return {item["ports"][0]["port"]: item["endpoints"][0] for item in items}


async def test_slices_follow_the_pods_of_a_service(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(SERVICES, _service())
        wanted = deployment(replicas=2)
        wanted["spec"]["template"]["spec"]["nodeName"] = "tidegate"
        await world.client.create(DEPLOYMENTS, wanted)
        await world.settle()
        names = sorted(await world.names(PODS))
        await world.run_pods(ready=False, ports={names[0]: 31000, names[1]: 31001})
        found = await _slices(world)
        assert {p: e["conditions"]["ready"] for p, e in found.items()} == {
            31000: False,
            31001: False,
        }
        await world.run_pods()
        found = await _slices(world)
        assert {p: e["targetRef"]["name"] for p, e in found.items()} == {
            31000: names[0],
            31001: names[1],
        }
        assert all(e["conditions"]["ready"] for e in found.values())
        await world.client.delete(PODS, names[0], namespace="default")
        await world.settle()
        ending = (await _slices(world))[31000]["conditions"]
        assert ending == {"ready": False, "serving": True, "terminating": True}
        await world.client.delete(PODS, names[0], namespace="default", grace_period_seconds=0)
        await world.settle()
        assert set(await _slices(world)) == {31001}
        (endpoints,) = (
            e
            for e in (await world.client.list(ENDPOINTS, namespace="default")).items
            if name_of(e) == "web"
        )
        assert endpoints["subsets"][0]["ports"] == [{"port": 31001, "protocol": "TCP"}]


async def test_slices_and_endpoints_go_with_their_service(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(SERVICES, _service())
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        await world.run_pods()
        assert len(await _slices(world)) == 1
        await world.client.delete(SERVICES, "web", namespace="default")
        await world.settle()
        assert not await _slices(world)
        assert "web" not in await world.names(ENDPOINTS)
