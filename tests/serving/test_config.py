"""ConfigMaps are honoured while everything runs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.serving.support import Cluster, running_serving, service
from tidegate.apis import networking, serving
from tidegate.apis.settings import CONFIG_MAPS
from tidegate.apiserver.registry.builtin import default_registry
from tidegate.kube.errors import BadRequest
from tidegate.kube.resources import CONFIG_MAPS as CONFIG_MAP_RESOURCE
from tidegate.kube.resources import EVENTS


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_serving(tmp_path) as running:
        yield running


async def test_the_config_maps_are_there_to_be_edited(cluster: Cluster) -> None:
    listing = await cluster.client.list(CONFIG_MAP_RESOURCE, namespace="knative-serving")
    assert {item["metadata"]["name"] for item in listing.items} >= set(CONFIG_MAPS)


async def test_a_deleted_config_map_means_defaults_and_comes_back(cluster: Cluster) -> None:
    await cluster.set_config("config-defaults", {"revision-timeout-seconds": "123"})
    await cluster.client.delete(CONFIG_MAP_RESOURCE, "config-defaults", namespace="knative-serving")
    await cluster.settle()
    await cluster.apply(serving.SERVICES, service())
    live = await cluster.get(serving.SERVICES, "hello")
    assert live["spec"]["template"]["spec"]["timeoutSeconds"] == 300
    listing = await cluster.client.list(CONFIG_MAP_RESOURCE, namespace="knative-serving")
    found = {item["metadata"]["name"]: item["data"] for item in listing.items if "data" in item}
    assert found["config-defaults"] == {}


async def test_defaults_change_what_is_admitted(cluster: Cluster) -> None:
    await cluster.set_config("config-defaults", {"revision-timeout-seconds": "123"})
    await cluster.apply(serving.SERVICES, service())
    live = await cluster.get(serving.SERVICES, "hello")
    assert live["spec"]["template"]["spec"]["timeoutSeconds"] == 123


async def test_a_feature_can_be_switched_on(cluster: Cluster) -> None:
    obj = service(nodeSelector={"gpu": "yes"})
    with pytest.raises(BadRequest, match="must not set the field"):
        await cluster.client.create(serving.SERVICES, obj)
    await cluster.set_config("config-features", {"kubernetes.podspec-nodeselector": "enabled"})
    await cluster.apply(serving.SERVICES, obj)
    assert await cluster.exists(serving.SERVICES, "hello")


async def test_a_new_domain_changes_the_urls(cluster: Cluster) -> None:
    await cluster.deploy(service())
    await cluster.set_config("config-domain", {"models.example.org": ""})
    await cluster.gateway_serves("hello")
    live = await cluster.get(serving.SERVICES, "hello")
    assert live["status"]["url"] == "http://hello.default.models.example.org:8080"
    ingress = await cluster.get(networking.INGRESSES, "hello")
    assert ingress["spec"]["rules"][1]["hosts"] == ["hello.default.models.example.org"]


async def test_templates_shape_hosts(cluster: Cluster) -> None:
    await cluster.set_config(
        "config-network",
        {
            "domain-template": "{{.Name}}-{{ .Namespace }}.{{.Domain}}",
            "tag-template": "{{.Name}}-{{.Tag}}",
        },
    )
    obj = service()
    obj["spec"]["traffic"] = [{"latestRevision": True, "percent": 100, "tag": "now"}]
    await cluster.deploy(obj)
    status = (await cluster.get(serving.SERVICES, "hello"))["status"]
    assert status["url"] == "http://hello-default.localhost:8080"
    assert status["traffic"][0]["url"] == "http://hello-now-default.localhost:8080"


async def test_a_tag_can_be_chosen_by_header(cluster: Cluster) -> None:
    await cluster.set_config("config-features", {"tag-header-based-routing": "enabled"})
    obj = service()
    obj["spec"]["traffic"] = [{"latestRevision": True, "percent": 100, "tag": "now"}]
    await cluster.deploy(obj)
    ingress = await cluster.get(networking.INGRESSES, "hello")
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    assert paths[0]["headers"] == {"Knative-Serving-Tag": {"exact": "now"}}
    assert len(paths) == 2


async def test_without_our_door_a_bad_value_leaves_the_former_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = default_registry()
    registry.add(replace(registry.of(CONFIG_MAP_RESOURCE), admit=None))
    bad = {"revision-timeout-seconds": "soon"}
    async with running_serving(tmp_path, registry=registry) as cluster:
        await cluster.set_config("config-defaults", {"revision-timeout-seconds": "123"})
        with caplog.at_level(logging.ERROR):
            await cluster.set_config("config-defaults", bad)
        assert 'config-defaults: failed to parse "revision-timeout-seconds"' in caplog.text
        events = await cluster.client.list(EVENTS, namespace="knative-serving")
        assert "InvalidConfiguration" in {item["reason"] for item in events.items}
        await cluster.apply(serving.SERVICES, service())
        live = await cluster.get(serving.SERVICES, "hello")
        assert live["spec"]["template"]["spec"]["timeoutSeconds"] == 123
