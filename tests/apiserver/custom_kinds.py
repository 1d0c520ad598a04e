"""A kind that the API does not know, and its definition."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.support.api import running_api
from tidegate.apiserver.customkinds import CustomKinds
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import is_condition_true
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
                "tag": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "replicas": {"type": "integer"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
WIDGETS = Resource("example.com", "v1", "Widget", "widgets")


def version(name: str, *, storage: bool) -> dict:
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
            },
        },
    }


def definition(**spec) -> dict:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version("v1", storage=True), version("v2", storage=False)],
            **spec,
        },
    }


def widget(**spec) -> dict:
    return {"metadata": {"name": "w", "namespace": "default"}, "spec": {"size": 3, **spec}}


@asynccontextmanager
async def with_custom_kinds(tmp_path):
    async with running_api(tmp_path) as api:
        clock = SystemClock()
        client = api.client()
        informers = Informers(client, clock=clock)
        kinds = CustomKinds(api.api.registry, Context(client, informers, clock))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(informers.run()),
                group.create_task(kinds.controller.run()),
            ]
            yield api, client
            for task in tasks:
                task.cancel()


async def established(api, client) -> None:
    async def check() -> bool:
        found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.com")
        return is_condition_true(found, "Established")

    await api.eventually(check)
