"""An operator: fills ponds, drains them when they go, and notes what Knative made ready."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf
import kubernetes


@kopf.on.startup()
def connect(**_: Any) -> None:
    kubernetes.config.load_kube_config()


@kopf.on.create("example.com", "v1", "ponds")
async def fill(
    spec: kopf.Spec, name: str, namespace: str, patch: kopf.Patch, body: kopf.Body, **_: Any
) -> None:
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-water"}}
    kopf.adopt(child)
    core = kubernetes.client.CoreV1Api()
    await asyncio.to_thread(core.create_namespaced_config_map, namespace, child)
    kopf.event(body, type="Normal", reason="Filled", message=f"size {spec['size']}")
    patch.status["filled"] = spec["size"]


@kopf.on.field("example.com", "v1", "ponds", field="spec.size", old=kopf.PRESENT)
async def refill(new: int, patch: kopf.Patch, **_: Any) -> None:
    patch.status["filled"] = new


@kopf.on.delete("example.com", "v1", "ponds")
async def drain(name: str, namespace: str, **_: Any) -> None:
    core = kubernetes.client.CoreV1Api()
    record = {"metadata": {"name": "drained"}, "data": {"pond": name}}
    await asyncio.to_thread(core.create_namespaced_config_map, namespace, record)


@kopf.on.event(
    "serving.knative.dev", "v1", "services", annotations={"example.com/seen": kopf.ABSENT}
)
async def note(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    revision = status.get("latestReadyRevisionName")
    if revision:
        patch.metadata.annotations["example.com/seen"] = revision
