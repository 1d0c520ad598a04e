"""The schemas against the official client's models, and the notation itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kubernetes.client import models

from tidegate.apiserver.registry.builtin import default_registry
from tidegate.apiserver.registry.schemas.builtin import builtin_definitions
from tidegate.apiserver.registry.schemas.dsl import REF, parse_types
from tidegate.kube.resources import PODS

PREFIXES = ("V1", "CoreV1", "DiscoveryV1", "RbacV1", "AuthenticationV1", "ApiextensionsV1")


def official_model(name: str):
    group, _, kind = name.rpartition(".")
    if kind == "EndpointPort":
        return models.DiscoveryV1EndpointPort if "discovery" in group else models.CoreV1EndpointPort
    if kind == "Subject":
        return models.RbacV1Subject
    if name.startswith("io.k8s.api.events."):
        return getattr(models, f"EventsV1{kind}")
    found = [getattr(models, f"{p}{kind}") for p in PREFIXES if hasattr(models, f"{p}{kind}")]
    return found[0] if found else None


# metrics.k8s.io is an API beside Kubernetes' own, of which the client has no models.
MODELLED = [name for name in sorted(builtin_definitions()) if "io.k8s.metrics" not in name]


@pytest.mark.parametrize("name", MODELLED)
def test_every_field_is_one_of_kubernetes(name):
    schema = builtin_definitions()[name]
    model = official_model(name)
    if "properties" not in schema:
        assert model is None
        return
    assert model is not None
    assert set(schema["properties"]) <= set(model.attribute_map.values())


def test_every_reference_resolves():
    definitions = builtin_definitions()

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                assert value["$ref"].removeprefix(REF) in definitions
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(definitions)
    registry = default_registry()
    for spec in registry.specs():
        walk(registry.schema(spec))


def test_the_notation():
    text = """
Thing: A thing.
  name! string # Its name.
  parts []Part key=name+kind
  other meta.Other # Another.
Part:
  sizes {}int32
"""
    assert parse_types("a.v1", text, {"meta": "m.v1"}) == {
        "a.v1.Thing": {
            "type": "object",
            "description": "A thing.",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Its name."},
                "parts": {
                    "type": "array",
                    "items": {"$ref": f"{REF}a.v1.Part"},
                    "x-kubernetes-patch-strategy": "merge",
                    "x-kubernetes-patch-merge-key": "name",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name", "kind"],
                },
                "other": {"allOf": [{"$ref": f"{REF}m.v1.Other"}], "description": "Another."},
            },
        },
        "a.v1.Part": {
            "type": "object",
            "properties": {
                "sizes": {
                    "type": "object",
                    "additionalProperties": {"type": "integer", "format": "int32"},
                }
            },
        },
    }


def test_the_places_of_a_schema_are_made_once_and_anew_with_another_schema():
    registry = default_registry()
    spec = registry.of(PODS)
    containers = registry.place(spec).field("spec").field("containers")
    assert containers.list_keys == ["name"]
    assert registry.place(spec).field("spec").field("containers") is containers
    labels = registry.place(spec).field("metadata").field("labels")
    assert labels.field("a") is labels.field("b")

    other = {"properties": {"spec": {"properties": {"containers": {"type": "array"}}}}}
    registry.add(replace(spec, schema=lambda: other))
    anew = registry.place(registry.of(PODS)).field("spec").field("containers")
    assert (anew.list_type, anew.list_keys) == ("atomic", [])
