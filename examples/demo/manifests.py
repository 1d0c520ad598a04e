"""Applying the seed's manifests through the Kubernetes API, as `kubectl apply` would."""

from __future__ import annotations

from pathlib import Path

import yaml

from tidegate.apis.registry import KINDS
from tidegate.kube import resources
from tidegate.kube.client import Client
from tidegate.kube.errors import AlreadyExists
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource

_RESOURCES = {
    (resource.api_version, resource.kind): resource
    for resource in [
        *(value for value in vars(resources).values() if isinstance(value, Resource)),
        *(definition.resource for definition in KINDS),
    ]
}


def documents(path: Path) -> list[Object]:
    """The objects of a manifest, in order."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


async def apply(client: Client, document: Object) -> str:
    """Create the object, or merge it into the one that exists; returns the past participle."""
    resource = _RESOURCES[document["apiVersion"], document["kind"]]
    metadata = document["metadata"]
    namespace = metadata.get("namespace", "default") if resource.namespaced else None
    try:
        await client.create(resource, document, namespace=namespace)
    except AlreadyExists:
        await client.patch(resource, metadata["name"], document, namespace=namespace)
        return "configured"
    return "created"
