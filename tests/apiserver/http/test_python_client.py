"""The official Python client, which knows nothing of us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.http.conftest import Face

kubernetes = pytest.importorskip("kubernetes")


@pytest.fixture
def connected(face: Face) -> Iterator[Any]:
    client = kubernetes.config.new_client_from_config(str(face.server.kubeconfig_path))
    yield client
    client.close()


async def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **options)


async def test_core_objects(connected: Any) -> None:
    core = kubernetes.client.CoreV1Api(connected)
    await call(core.create_namespace, {"metadata": {"name": "team"}})
    names = {item.metadata.name for item in (await call(core.list_namespace)).items}
    assert {"default", "team"} <= names
    body = kubernetes.client.V1ConfigMap(
        metadata=kubernetes.client.V1ObjectMeta(generate_name="c-", labels={"a": "b"}),
        data={"x": "1"},
    )
    made = await call(core.create_namespaced_config_map, "team", body)
    assert made.metadata.name.startswith("c-")
    name = made.metadata.name
    patched = await call(core.patch_namespaced_config_map, name, "team", {"data": {"y": "2"}})
    assert patched.data == {"x": "1", "y": "2"}
    listed = await call(core.list_namespaced_config_map, "team", label_selector="a=b")
    assert len(listed.items) == 1
    await call(core.delete_namespaced_config_map, name, "team")
    with pytest.raises(kubernetes.client.ApiException) as refusal:
        await call(core.read_namespaced_config_map, name, "team")
    assert refusal.value.status == 404


async def test_deployments_scale_and_watch(connected: Any) -> None:
    apps = kubernetes.client.AppsV1Api(connected)
    labels = {"app": "web"}
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    body = {"metadata": {"name": "web"}, "spec": spec}

    def first_events() -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        watch = kubernetes.watch.Watch()
        for event in watch.stream(apps.list_namespaced_deployment, "default", timeout_seconds=10):
            found.append((event["type"], event["object"].spec.replicas))
            if len(found) == 2:
                watch.stop()
        return found

    watching = asyncio.create_task(call(first_events))
    await call(apps.create_namespaced_deployment, "default", body)
    await call(apps.patch_namespaced_deployment_scale, "web", "default", {"spec": {"replicas": 3}})
    assert await watching == [("ADDED", 1), ("MODIFIED", 3)]
    scale = await call(apps.read_namespaced_deployment_scale, "web", "default")
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=web")


async def test_custom_objects(connected: Any) -> None:
    import yaml

    custom = kubernetes.client.CustomObjectsApi(connected)
    where = ("serving.knative.dev", "v1", "default", "services")
    path = Path(__file__).parents[3] / "examples/stable-diffusion/knative-sd-demo.yaml"
    manifest = yaml.safe_load(await asyncio.to_thread(path.read_text))
    await call(custom.create_namespaced_custom_object, *where, manifest)
    obj = await call(custom.get_namespaced_custom_object, *where, "knative-sd-demo")
    assert obj["spec"]["template"]["spec"]["containerConcurrency"] == 1
    await call(custom.delete_namespaced_custom_object, *where, "knative-sd-demo")


async def test_authorization(connected: Any) -> None:
    api = kubernetes.client.AuthorizationV1Api(connected)
    attributes = {"verb": "create", "resource": "pods", "namespace": "default"}
    review = await call(
        api.create_self_subject_access_review, {"spec": {"resourceAttributes": attributes}}
    )
    assert review.status.allowed
    version = await call(kubernetes.client.VersionApi(connected).get_code)
    assert version.git_version.startswith("v1.32")
