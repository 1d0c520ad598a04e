"""The schemas and definitions that come from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tidegate.apis.crds import crds
from tidegate.apis.kinds import KindDefinition
from tidegate.apis.registry import KINDS

Schema = dict[str, Any]


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in (schema.get("properties") or {}).items():
        yield from walk(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


def kind(name: str, group: str = "serving.knative.dev") -> KindDefinition:
    return next(k for k in KINDS if (k.resource.kind, k.resource.group) == (name, group))


@pytest.mark.parametrize("definition", KINDS, ids=lambda d: d.resource.qualified)
def test_schemas_are_structural(definition: KindDefinition) -> None:
    schema = definition.schema()
    text = json.dumps(schema)
    for word in ("$ref", "$defs", '"title"', '"null"', '"default"', 'additionalProperties": fal'):
        assert word not in text
    for path, node in walk(schema):
        typed = "type" in node or node.get("x-kubernetes-int-or-string")
        assert typed, f"{path} has no type"
    assert schema["type"] == "object"


@pytest.mark.parametrize("definition", KINDS, ids=lambda d: d.resource.qualified)
def test_every_field_is_described(definition: KindDefinition) -> None:
    schema = definition.schema()
    for path, node in walk(schema):
        if path and not path.endswith("[]"):
            assert node.get("description"), path


def test_explain_finds_knatives_fields() -> None:
    spec = kind("Service").schema()["properties"]["spec"]["properties"]
    revision = spec["template"]["properties"]["spec"]["properties"]
    assert revision["containerConcurrency"]["format"] == "int64"
    container = revision["containers"]["items"]["properties"]
    assert {"livenessProbe", "envFrom", "volumeMounts"} <= set(container)
    assert {"exec", "httpGet", "tcpSocket", "grpc"} <= set(
        container["readinessProbe"]["properties"]
    )
    assert "downwardAPI" in json.dumps(revision["volumes"])
    assert {"hostIPC", "hostPID"} <= set(revision)
    limits = container["resources"]["properties"]["limits"]["additionalProperties"]
    assert limits["x-kubernetes-int-or-string"] is True


def test_definitions_for_a_cluster() -> None:
    found = {item["metadata"]["name"]: item for item in crds()}
    assert set(found) == {definition.resource.qualified for definition in KINDS}
    service = found["services.serving.knative.dev"]["spec"]
    assert service["names"]["shortNames"] == ["kservice", "ksvc"]
    version = service["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "URL",
        "LatestCreated",
        "LatestReady",
        "Ready",
        "Reason",
    ]
    assert found["clusterdomainclaims.networking.internal.knative.dev"]["spec"]["scope"] == (
        "Cluster"
    )
