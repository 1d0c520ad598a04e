"""The definitions for a real cluster, against an API server that does not know the kinds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.apiserver.http.face import Face, needs_kubectl, running_face
from tidegate.apis.registry import KINDS
from tidegate.cli.main import app

SERVICE = """
apiVersion: serving.example.com/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    spec:
      containerConcurrency: 1
      containers: [{image: hello, ports: [{containerPort: 8080}]}]
"""


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path) as running:
        yield running


def printed() -> str:
    result = CliRunner().invoke(app, ["crds"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_kind_is_printed_once_without_anchors() -> None:
    text = printed()
    names = [definition["metadata"]["name"] for definition in yaml.safe_load_all(text)]
    assert names == [kind.resource.qualified for kind in KINDS]
    assert "&id" not in text


@needs_kubectl
async def test_a_server_takes_the_definitions_and_checks_objects_by_them(face: Face) -> None:
    # Under another group, for the server serves Knative's own already.
    manifest = printed().replace("knative.dev", "example.com")
    applied = await face.ok("apply", "--server-side", "-f", "-", stdin=manifest)
    assert applied.count("serverside-applied") == len(KINDS)
    await face.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    await face.ok("apply", "-f", "-", stdin=SERVICE)
    found = json.loads(await face.ok("get", "services.serving.example.com/hello", "-o", "json"))
    assert found["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 8080}]
    group = "--api-version=serving.example.com/v1"
    explained = await face.ok("explain", group, "services.spec.template.spec")
    assert "containerConcurrency" in explained
    for wrong, words in (
        (
            SERVICE.replace("containerConcurrency: 1", "containerConcurrency: many"),
            "must be of type",
        ),
        (SERVICE.replace("image:", "imagine:"), "unknown field"),
    ):
        refused = await face.kubectl("apply", "-f", "-", stdin=wrong)
        assert refused.code != 0
        assert words in refused.err
