"""Owners and dependents across Knative's kinds and a user's own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.platform import Platform, knative_service

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.garbage.example.com}
spec:
  group: garbage.example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
WIDGETS = "widgets.garbage.example.com"


@pytest.fixture(scope="module")
def defined(platform: Platform) -> Iterator[Platform]:
    platform.apply(DEFINITION)
    platform.kubectl("wait", "--for=condition=Established", f"crd/{WIDGETS}", "--timeout=30s")
    yield platform
    platform.kubectl("delete", "crd", WIDGETS, "--wait=false")


def widget(name: str, *owners: dict) -> dict:
    metadata = {"name": name, "ownerReferences": [reference(owner) for owner in owners]}
    return {"apiVersion": "garbage.example.com/v1", "kind": "Widget", "metadata": metadata}


def reference(owner: dict) -> dict:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }


def names(platform: Platform, kind: str) -> set[str]:
    found = platform.kubectl("get", kind, "-o", "name").stdout.split()
    return {name.partition("/")[2] for name in found}


def test_what_a_service_owns_goes_with_it(defined: Platform) -> None:
    platform = defined
    platform.apply(knative_service("owning"))
    owner = platform.get("ksvc", "owning")
    platform.apply(json.dumps(widget("owned", owner)))
    platform.apply(json.dumps(widget("free")))
    platform.kubectl("delete", "ksvc", "owning")
    platform.kubectl("wait", "--for=delete", f"{WIDGETS}/owned", "--timeout=30s")
    assert names(platform, WIDGETS) == {"free"}
    platform.kubectl("delete", WIDGETS, "free")


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_a_service_goes_with_what_owns_it(defined: Platform, cascade: str) -> None:
    platform, name = defined, f"owned-{cascade}"
    platform.apply(json.dumps(widget(name)))
    owned = json.loads(knative_service(name))
    owned["metadata"]["ownerReferences"] = [reference(platform.get(WIDGETS, name))]
    platform.apply(json.dumps(owned))
    platform.wait_ready(f"ksvc/{name}")
    platform.kubectl("delete", WIDGETS, name, f"--cascade={cascade}")
    if cascade == "foreground":
        assert name not in names(platform, "ksvc")
    for kind in ("ksvc", "configuration", "route"):
        platform.kubectl("wait", "--for=delete", f"{kind}/{name}", "--timeout=30s")
    platform.kubectl(
        "wait", "--for=delete", "revision,deployment,pod",
        "-l", f"serving.knative.dev/service={name}", "--timeout=60s",
    )  # fmt: skip
    assert name not in " ".join(names(platform, "revision") | names(platform, "deployment"))
