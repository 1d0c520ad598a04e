"""An operator made with kopf, in a process of its own as operators are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.objects import definition
from tests.e2e.platform import Platform

OPERATOR = Path(__file__).with_name("operator_for_kopf.py")


@pytest.fixture
def operator(platform: Platform, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """A running operator; gives its log."""
    platform.apply(json.dumps(definition("ponds", "Pond")))
    platform.kubectl("wait", "--for=condition=Established", "crd/ponds.example.com")
    log = tmp_path / "operator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", str(OPERATOR), f"--namespace={namespace}"],
            env={**os.environ, "KUBECONFIG": str(platform.data_dir / "kubeconfig")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        yield log
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


def awaited(platform: Platform, log: Path, namespace: str, *condition: str) -> None:
    done = platform.kubectl(
        "wait", f"--namespace={namespace}", "--timeout=30s", *condition, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\n{log.read_text()[-4000:]}"


def test_an_operator_reconciles_objects_of_its_kind(
    platform: Platform, operator: Path, namespace: str
) -> None:
    def get(kind: str, name: str) -> Any:
        return platform.get(kind, name, f"--namespace={namespace}")

    pond = {"apiVersion": "example.com/v1", "kind": "Pond", "spec": {"size": 2}}
    manifest = {**pond, "metadata": {"name": "p", "namespace": namespace}}
    platform.apply(json.dumps(manifest))
    is_filled: Callable[[int], str] = lambda size: f"--for=jsonpath={{.status.filled}}={size}"  # noqa: E731
    awaited(platform, operator, namespace, is_filled(2), "pond/p")
    assert "kopf.zalando.org/KopfFinalizerMarker" in get("pond", "p")["metadata"]["finalizers"]
    child = get("configmap", "p-water")
    assert child["metadata"]["ownerReferences"][0]["kind"] == "Pond"
    platform.apply(json.dumps({**manifest, "spec": {"size": 3}}))
    awaited(platform, operator, namespace, is_filled(3), "pond/p")
    platform.kubectl("delete", "pond", "p", f"--namespace={namespace}", "--timeout=30s")
    # Written by the operator's deletion handler, which the finalizer held the object for.
    assert get("configmap", "drained")["data"] == {"pond": "p"}
    reasons = {
        event["reason"] for event in platform.get("events", f"--namespace={namespace}")["items"]
    }
    assert "Filled" in reasons


def test_an_operator_follows_knative_services(
    platform: Platform, operator: Path, namespace: str
) -> None:
    from tests.conformance.objects import service

    platform.apply(json.dumps(service("hello", namespace)))
    annotated = "--for=jsonpath={.metadata.annotations.example\\.com/seen}=hello-00001"
    awaited(platform, operator, namespace, annotated, "ksvc/hello")
    awaited(platform, operator, namespace, "--for=condition=Ready", "ksvc/hello")
