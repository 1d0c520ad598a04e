"""Unknown fields and fields given twice: refused or warned of, in every kind of body."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.http.face import Face
from tests.conformance.objects import definition
from tests.support.waiting import eventually

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = {"content-type": "application/apply-patch+yaml"}
STRICT = "fieldManager=test&fieldValidation=Strict"
DEPLOYMENT = """{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
 "spec": {"unknownField": "foo", "replicas": 2, "replicas": 3,
  "selector": {"matchLabels": {"app": "d"}},
  "template": {"metadata": {"labels": {"app": "d"}},
   "spec": {"containers": [{"name": "c", "image": "counter"}]}}}}"""
YAML_TWICE = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: twice
data:
  foo: one
  bar: x
  foo: two
"""


def refused(response: Any, message: str) -> None:
    assert response.status_code == 400, response.text
    assert message in response.json()["message"]


async def test_unknown_and_duplicate_fields_are_told_together(face: Face) -> None:
    http = face.http()
    headers = {"content-type": "application/json"}
    response = await http.post(f"{DEPLOYMENTS}?{STRICT}", content=DEPLOYMENT, headers=headers)
    problems = 'unknown field "spec.unknownField", duplicate field "spec.replicas"'
    refused(response, f"strict decoding error: {problems}")
    warned = await http.post(f"{DEPLOYMENTS}?dryRun=All", content=DEPLOYMENT, headers=headers)
    assert warned.json()["spec"]["replicas"] == 3
    assert [text.split(" - ")[1] for text in warned.headers.get_list("warning")] == [
        r'"unknown field \"spec.unknownField\""',
        r'"duplicate field \"spec.replicas\""',
    ]


@pytest.mark.parametrize(
    "content_type", ["application/merge-patch+json", "application/strategic-merge-patch+json"]
)
async def test_duplicates_in_patches(face: Face, content_type: str) -> None:
    http = face.http()
    await http.post(CONFIG_MAPS, json={"metadata": {"name": "p"}})
    response = await http.patch(
        f"{CONFIG_MAPS}/p?{STRICT}",
        content='{"data": {"x": "1", "x": "2"}}',
        headers={"content-type": content_type},
    )
    refused(response, 'strict decoding error: duplicate field "data.x"')


async def test_keys_given_twice_in_yaml(face: Face) -> None:
    http = face.http()
    url = f"{CONFIG_MAPS}/twice"
    applied = await http.patch(f"{url}?{STRICT}", content=YAML_TWICE, headers=APPLY)
    refused(applied, 'line 9: key "foo" already set in map')
    warned = await http.patch(f"{url}?fieldManager=test", content=YAML_TWICE, headers=APPLY)
    assert warned.json()["data"]["foo"] == "two"
    assert 'line 9: key \\"foo\\" already set in map' in warned.headers["warning"]
    created = await http.post(
        f"{CONFIG_MAPS}?{STRICT}", content=YAML_TWICE, headers={"content-type": "application/yaml"}
    )
    refused(created, 'strict decoding error: line 9: key "foo" already set in map')


async def test_an_apply_owns_declared_fields_only(face: Face) -> None:
    http = face.http()
    await http.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=CUSTOM)
    registry = face.server.api.registry
    await eventually(lambda: registry.find("example.com", "v1", "sizes") is not None)
    url = "/apis/example.com/v1/namespaces/default/sizes/a"
    wanted = {
        "apiVersion": "example.com/v1",
        "kind": "Size",
        "metadata": {"name": "a", "extra": 1},
        "spec": {"size": 1},
        "unknown": {},
    }
    response = await http.patch(f"{url}?fieldManager=test", json=wanted, headers=APPLY)
    refused(response, "failed to create typed patch object (/a; example.com/v1, Kind=Size)")
    refused(response, ".metadata.extra: field not declared in schema")
    refused(response, ".unknown: field not declared in schema")


CUSTOM = definition("sizes", "Size")
