"""Custom kinds and server-side apply by the real kubectl."""

from __future__ import annotations

import json

import pytest

from tests.apiserver.http.face import Face, needs_kubectl

pytestmark = needs_kubectl
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    schema:
      openAPIV3Schema:
        type: object
        description: A widget.
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How big.}
              color: {type: string, default: red}
"""
WIDGET = """
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: SIZE}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "web:1", ports: [{containerPort: 80}]}]}
"""


async def test_a_custom_kind_is_one_like_any_other(face: Face) -> None:
    await face.ok("apply", "-f", "-", stdin=DEFINITION)
    await face.ok("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=10s")
    small = WIDGET.replace("SIZE", "2")
    assert await face.ok("apply", "-f", "-", stdin=small) == "widget.example.com/w created\n"
    assert await face.ok("apply", "-f", "-", stdin=small) == "widget.example.com/w unchanged\n"
    header, row = (await face.ok("get", "wd")).splitlines()
    assert (header.split(), row.split()) == (["NAME", "SIZE"], ["w", "2"])
    assert "How big." in await face.ok("explain", "widget.spec.size")
    refused = await face.kubectl("apply", "-f", "-", stdin=WIDGET.replace("SIZE", "0"))
    assert refused.code != 0
    assert "greater than or equal to 1" in refused.err
    await face.ok("delete", "crd", "widgets.example.com", "--timeout=20s")
    gone = await face.kubectl("get", "widgets")
    assert gone.code != 0


@pytest.mark.parametrize("first", [(), ("--server-side",)], ids=["client side", "server side"])
async def test_server_side_apply(face: Face, first: tuple[str, ...]) -> None:
    two, three = DEPLOYMENT.replace("REPLICAS", "2"), DEPLOYMENT.replace("REPLICAS", "3")
    await face.ok("apply", *first, "-f", "-", stdin=two)
    assert "serverside-applied" in await face.ok("apply", "--server-side", "-f", "-", stdin=two)
    assert "serverside-applied" in await face.ok("apply", "--server-side", "-f", "-", stdin=three)
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = await face.kubectl(*other, stdin=two)
    assert refused.code != 0
    assert "conflict" in refused.err
    assert ".spec.replicas" in refused.err
    await face.ok(*other, "--force-conflicts", stdin=two)
    found = json.loads(await face.ok("get", "deploy", "web", "-o", "json", "--show-managed-fields"))
    assert found["spec"]["replicas"] == 2
    assert {entry["manager"] for entry in found["metadata"]["managedFields"]} >= {
        "kubectl",
        "other",
    }
