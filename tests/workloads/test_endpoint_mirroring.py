"""Endpoints written by a user are seen in EndpointSlices too."""

from __future__ import annotations

from typing import Any

from tests.workloads.support import running_controllers
from tidegate.kube.objects import labels_of, owner_references_of
from tidegate.kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES

SERVICE = {"metadata": {"name": "db", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}}


def endpoints(*addresses: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "db", "namespace": "default", "labels": labels},
        "subsets": [
            {"addresses": [{"ip": ip} for ip in addresses], "ports": [{"name": "p", "port": 9376}]}
        ],
    }


async def slices(world) -> list[dict[str, Any]]:
    listed = await world.client.list(ENDPOINT_SLICES, namespace="default")
    return [item for item in listed.items if labels_of(item).get("app") != "web"]


async def test_they_follow_creation_update_and_deletion(tmp_path) -> None:
    async with running_controllers(tmp_path) as world:
        await world.client.create(SERVICES, SERVICE)
        await world.client.create(ENDPOINTS, endpoints("10.1.2.3", team="a"))
        await world.settle()
        [mirrored] = await slices(world)
        assert labels_of(mirrored) == {
            "kubernetes.io/service-name": "db",
            "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
            "team": "a",
        }
        assert mirrored["addressType"] == "IPv4"
        assert mirrored["ports"] == [{"name": "p", "port": 9376, "protocol": "TCP"}]
        assert mirrored["endpoints"] == [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}]
        assert owner_references_of(mirrored)[0]["kind"] == "Endpoints"

        await world.client.update(ENDPOINTS, endpoints("10.2.3.4", "fd00::1"))
        await world.settle()
        found = {item["addressType"]: item["endpoints"][0] for item in await slices(world)}
        assert {family: item["addresses"] for family, item in found.items()} == {
            "IPv4": ["10.2.3.4"],
            "IPv6": ["fd00::1"],
        }

        await world.client.delete(ENDPOINTS, "db", namespace="default")
        await world.settle()
        assert await slices(world) == []


async def test_what_is_not_mirrored(tmp_path) -> None:
    async with running_controllers(tmp_path) as world:
        selecting = {**SERVICE, "spec": {**SERVICE["spec"], "selector": {"app": "db"}}}
        await world.client.create(ENDPOINTS, endpoints("10.1.2.3"))
        await world.settle()
        assert await slices(world) == []
        await world.client.create(SERVICES, selecting)
        await world.settle()
        assert await slices(world) == []


async def test_a_label_holds_it_back(tmp_path) -> None:
    async with running_controllers(tmp_path) as world:
        await world.client.create(SERVICES, SERVICE)
        held = endpoints("10.1.2.3", **{"endpointslice.kubernetes.io/skip-mirror": "true"})
        await world.client.create(ENDPOINTS, held)
        await world.settle()
        assert await slices(world) == []
