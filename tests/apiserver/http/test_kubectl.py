"""The real kubectl against the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.apiserver.http.face import Face, needs_kubectl

EXAMPLES = Path(__file__).parents[3] / "examples"
SERVICE = EXAMPLES / "stable-diffusion" / "knative-sd-demo.yaml"
PORTAL = EXAMPLES / "portal" / "portal-server.yaml"
pytestmark = needs_kubectl


async def test_the_examples_are_created_unchanged_and_configured(face: Face) -> None:
    created = (await face.ok("apply", "-f", str(PORTAL))).splitlines()
    assert len(created) == 5
    assert all(line.endswith(" created") for line in created), created
    again = (await face.ok("apply", "-f", str(PORTAL))).splitlines()
    assert all(line.endswith(" unchanged") for line in again), again
    assert await face.ok("apply", "-f", str(SERVICE)) == (
        "service.serving.knative.dev/knative-sd-demo created\n"
    )
    # kubectl compares lists of custom kinds as a whole, so that defaults filled into a container
    # make it send a patch; nothing may come of it.
    version = ("get", "ksvc", "-o", "jsonpath={.items[0].metadata.resourceVersion}")
    before = await face.ok(*version)
    await face.ok("apply", "-f", str(SERVICE))
    assert await face.ok(*version) == before
    changed = SERVICE.read_text().replace("containerConcurrency: 1", "containerConcurrency: 2")
    assert "configured" in await face.ok("apply", "-f", "-", stdin=changed)
    concurrency = await face.ok(
        "get",
        "ksvc",
        "knative-sd-demo",
        "-o",
        "jsonpath={.spec.template.spec.containerConcurrency}",
    )
    assert concurrency == "2"
    deleted = await face.ok("delete", "-f", str(PORTAL))
    assert len(deleted.splitlines()) == 5


async def test_get_in_all_its_forms(face: Face) -> None:
    await face.ok("apply", "-f", str(SERVICE))
    await face.ok("apply", "-f", str(PORTAL))
    header, row = (await face.ok("get", "ksvc")).splitlines()
    assert header.split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    assert row.split()[0] == "knative-sd-demo"
    header, row = (await face.ok("get", "deploy", "-o", "wide")).splitlines()
    assert header.split() == [
        "NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR",
    ]  # fmt: skip
    assert row.split()[1] == "0/1"
    everywhere = await face.ok("get", "services", "-A")
    assert "kubernetes" in everywhere
    assert "portal-server" in everywhere
    assert "apiVersion: apps/v1" in await face.ok("get", "deploy", "portal-server", "-o", "yaml")
    listed = json.loads(await face.ok("get", "deploy", "-o", "json"))
    assert [item["metadata"]["name"] for item in listed["items"]] == ["portal-server"]
    assert "portal-server" in await face.ok("get", "deploy", "-l", "app=portal-server")
    empty = await face.kubectl("get", "deploy", "-l", "app=other")
    assert "No resources found" in empty.err
    both = await face.ok("get", "all")
    assert "deployment.apps/portal-server" in both
    assert "service.serving.knative.dev/knative-sd-demo" in both


async def test_watch_shows_changes(face: Face) -> None:
    await face.ok("create", "configmap", "first", "--from-literal=a=1")
    process = await face.start_kubectl("get", "configmaps", "-w")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert (await process.stdout.readline()).split()[0] == b"NAME"
        assert (await process.stdout.readline()).split()[:2] == [b"first", b"1"]
        await face.ok("create", "configmap", "second", "--from-literal=a=1")
        assert (await process.stdout.readline()).split()[:2] == [b"second", b"1"]
    process.kill()
    await process.wait()


async def test_commands_that_create(face: Face) -> None:
    await face.ok("create", "namespace", "team")
    await face.ok("create", "deployment", "web", "--image=web:1", "--replicas=2", "-n", "team")
    await face.ok("expose", "deployment", "web", "--port=80", "-n", "team")
    await face.ok("create", "secret", "generic", "s", "--from-literal=k=v", "-n", "team")
    await face.ok("create", "serviceaccount", "robot", "-n", "team")
    await face.ok("create", "role", "r", "--verb=get", "--resource=pods", "-n", "team")
    await face.ok(
        "create", "rolebinding", "b", "--role=r", "--serviceaccount=team:robot", "-n", "team"
    )
    await face.ok("create", "ingress", "i", "--rule=a.example/*=web:80", "-n", "team")
    await face.ok("run", "once", "--image=once:1", "-n", "team")
    token = await face.ok("create", "token", "robot", "-n", "team")
    assert token.count(".") == 2
    value = await face.ok("get", "secret", "s", "-n", "team", "-o", "jsonpath={.data.k}")
    assert value == "dg=="
    port = await face.ok("get", "svc", "web", "-n", "team", "-o", "jsonpath={.spec.ports[0].port}")
    assert port == "80"


async def test_commands_that_change(face: Face) -> None:
    await face.ok("apply", "-f", str(PORTAL))
    deployment = "deployment/portal-server"
    await face.ok("scale", deployment, "--replicas=3")
    await face.ok("set", "image", deployment, "portal-server=other:2")
    await face.ok("label", deployment, "tier=front")
    await face.ok("annotate", deployment, "note=1")
    await face.ok("patch", deployment, "-p", '{"spec":{"minReadySeconds":3}}')
    await face.ok("rollout", "restart", deployment)
    obj = json.loads(await face.ok("get", deployment, "-o", "json"))
    assert obj["spec"]["replicas"] == 3
    assert obj["spec"]["minReadySeconds"] == 3
    assert obj["spec"]["template"]["spec"]["containers"][0]["image"] == "other:2"
    assert obj["metadata"]["labels"]["tier"] == "front"
    diff = await face.kubectl("diff", "-f", str(PORTAL))
    assert diff.code == 1
    assert "-        image: other:2" in diff.out


async def test_describe_explain_and_api_resources(face: Face) -> None:
    await face.ok("apply", "-f", str(PORTAL))
    described = await face.ok("describe", "deployment", "portal-server")
    assert "Replicas:" in described
    assert "tcp-socket :8080" in described
    assert "FIELD: template" in await face.ok("explain", "ksvc.spec.template")
    probe = await face.ok("explain", "pod.spec.containers.readinessProbe")
    assert "failureThreshold" in probe
    resources = await face.ok("api-resources", "-o", "wide")
    assert "serving.knative.dev/v1" in resources
    assert "ksvc" in resources
    assert "apps/v1" in await face.ok("api-versions")
    assert "+tidegate" in await face.ok("version")


async def test_lists_of_objects(face: Face) -> None:
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}},
    ]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    out = await face.ok("apply", "-f", "-", stdin=json.dumps(document))
    assert out == "configmap/a created\nsecret/b created\n"
    again = await face.ok("apply", "-f", "-", stdin=json.dumps(document))
    assert again == "configmap/a unchanged\nsecret/b unchanged\n"
    items[0]["bogus"] = "x"
    refused = await face.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    assert refused.code == 1
    assert "bogus" in refused.err


THINGS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Since, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, description: How large it is.}
"""
THING = """
apiVersion: example.com/v1
kind: Thing
metadata: {name: big}
spec: {size: 7}
"""


async def test_custom_kinds(face: Face) -> None:
    await face.ok("apply", "-f", "-", stdin=THINGS)
    await face.ok("wait", "--for=condition=Established", "crd/things.example.com", "--timeout=10s")
    assert await face.ok("apply", "-f", "-", stdin=THING) == "thing.example.com/big created\n"
    assert await face.ok("apply", "-f", "-", stdin=THING) == "thing.example.com/big unchanged\n"
    header, row = (await face.ok("get", "th")).splitlines()
    assert header.split() == ["NAME", "SIZE", "SINCE"]
    assert row.split()[:2] == ["big", "7"]
    assert "How large it is." in await face.ok("explain", "thing.spec.size")
    bogus = await face.kubectl("apply", "-f", "-", stdin=THING.replace("size", "weight"))
    assert 'unknown field "spec.weight"' in bogus.err
    await face.ok("delete", "crd", "things.example.com", "--timeout=10s")
    fresh = await face.kubectl("get", "things", home="without-cache")
    assert "doesn't have a resource type" in fresh.err


async def test_wait_sees_a_condition_come(face: Face) -> None:
    await face.ok("apply", "-f", str(PORTAL))
    waiting = asyncio.create_task(
        face.kubectl(
            "wait", "--for=condition=Available", "deployment/portal-server", "--timeout=20s"
        )
    )
    condition = {"type": "Available", "status": "True", "reason": "r", "message": "m"}
    response = await face.http().patch(
        "/apis/apps/v1/namespaces/default/deployments/portal-server/status",
        json={"status": {"conditions": [condition]}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert response.status_code == 200, response.text
    output = await waiting
    assert output.code == 0, output.err
    assert "condition met" in output.out


class Output:
    """A log source with one line, and another one when it is followed."""

    async def stream(
        self, namespace: str, pod: str, container: str, **options: Any
    ) -> AsyncIterator[bytes]:
        yield f"{namespace}/{pod}/{container}\n".encode()
        if options["follow"]:
            await asyncio.sleep(0.5)
            yield b"more\n"


async def test_logs(face: Face) -> None:
    face.server.attach_logs(Output())
    await face.ok("run", "p", "--image=i:1")
    assert await face.ok("logs", "p") == "default/p/p\n"
    assert await face.ok("logs", "-f", "pod/p") == "default/p/p\nmore\n"
    wrong = await face.kubectl("logs", "p", "-c", "none")
    assert "container none is not valid for pod p" in wrong.err


async def test_rights(face: Face) -> None:
    await face.ok("apply", "-f", str(PORTAL))
    assert (await face.ok("auth", "can-i", "delete", "namespaces")).strip() == "yes"
    portal = "--as=system:serviceaccount:default:portal-server"
    assert (await face.ok("auth", "can-i", "list", "pods", portal)).strip() == "yes"
    assert (await face.kubectl("auth", "can-i", "create", "pods", portal)).out.strip() == "no"
    assert "pods" in await face.ok("auth", "can-i", "--list", portal)
    assert "tidegate-admin" in await face.ok("auth", "whoami")
    refused = await face.kubectl("get", "secrets", portal)
    assert 'cannot list resource "secrets"' in refused.err


async def test_mistakes_are_told(face: Face) -> None:
    wrong = await face.kubectl("--token=wrong", "get", "pods")
    assert wrong.code == 1
    assert "You must be logged in to the server" in wrong.err
    bogus = SERVICE.read_text().replace(
        "containerConcurrency: 1", "containerConcurrency: 1\n      bogus: 1"
    )
    strict = await face.kubectl("apply", "--validate=strict", "-f", "-", stdin=bogus)
    assert strict.code == 1
    assert "bogus" in strict.err
    malformed = await face.kubectl("apply", "-f", "-", stdin="a: b: c\n")
    assert malformed.code == 1
    assert "yaml" in malformed.err.lower()
    missing = await face.kubectl("get", "pod", "nothing")
    assert 'pods "nothing" not found' in missing.err
    unknown = await face.kubectl("get", "nothings")
    assert "doesn't have a resource type" in unknown.err
    twice = await face.kubectl("create", "namespace", "default")
    assert "AlreadyExists" in twice.err
    assert not (await face.ok("get", "ksvc", "-o", "name")).strip()


async def test_delete_and_its_modes(face: Face) -> None:
    await face.ok("create", "configmap", "a")
    await face.ok("create", "configmap", "b")
    assert "deleted" in await face.ok("delete", "configmap", "a")
    assert "deleted" in await face.ok("delete", "configmaps", "--all")
    again = await face.kubectl("delete", "configmap", "a")
    assert again.code == 1
    assert await face.ok("delete", "configmap", "a", "--ignore-not-found") == ""
