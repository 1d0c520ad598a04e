"""kubectl: the commands that `tests/e2e` and `tests/apiserver` do not run already."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conformance.objects import definition
from tests.e2e.platform import Platform

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(platform: Platform, namespace: str) -> Kubectl:
    """Run it in a namespace of the test's own; returns what it says."""

    def run(*arguments: str, stdin: str | None = None) -> str:
        return platform.kubectl("-n", namespace, *arguments, stdin=stdin).stdout

    return run


@pytest.fixture
def refused(platform: Platform, namespace: str) -> Kubectl:
    """Run it, which must fail; returns its words."""

    def run(*arguments: str, stdin: str | None = None) -> str:
        done = platform.kubectl("-n", namespace, *arguments, stdin=stdin, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    return run


def config_map(**data: str) -> str:
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": data}
    )


def test_raw_requests(kubectl: Kubectl, refused: Kubectl, namespace: str, tmp_path: Path) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    file = tmp_path / "cm.json"
    file.write_text(config_map(a="1"))
    made = json.loads(kubectl("create", "--raw", path, "-f", str(file)))
    assert made["metadata"]["uid"]
    assert json.loads(kubectl("get", "--raw", f"{path}/cm")) == made
    file.write_text(config_map(a="2"))
    changed = json.loads(kubectl("replace", "--raw", f"{path}/cm", "-f", str(file)))
    assert changed["data"] == {"a": "2"}
    assert json.loads(kubectl("delete", "--raw", f"{path}/cm"))["status"] == "Success"
    assert "not found" in refused("get", "--raw", f"{path}/cm")
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert json.loads(kubectl("get", "--raw", "/version"))["minor"] == "32"


def test_proxy(platform: Platform, namespace: str) -> None:
    with platform.start_kubectl("proxy", "--port=0", stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = "http://" + process.stdout.readline().split()[-1]
            with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
                path = f"/api/v1/namespaces/{namespace}/configmaps"
                made = client.post(path, json={"metadata": {"name": "cm"}})
                assert made.status_code == 201
                params = {"watch": "1", "timeoutSeconds": "1", "fieldSelector": "metadata.name=cm"}
                events = client.get(path, params=params).text.splitlines()
                assert json.loads(events[0])["object"]["metadata"]["name"] == "cm"
        finally:
            process.terminate()


def test_a_secret_with_a_token(platform: Platform, kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "serviceaccount", "robot")
    annotation = {"kubernetes.io/service-account.name": "robot"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "robots", "annotations": annotation},
        "type": "kubernetes.io/service-account-token",
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))
    kubectl("wait", "secret/robots", "--for=jsonpath={.data.token}", "--timeout=20s")
    assert re.search(r"^Tokens: +robots$", kubectl("describe", "sa", "robot"), re.MULTILINE)
    encoded = kubectl("get", "secret", "robots", "-o", "jsonpath={.data.token}")
    url = f"https://127.0.0.1:{platform.api_port}/apis/authentication.k8s.io/v1/selfsubjectreviews"
    with httpx.Client(
        headers={"Authorization": f"Bearer {b64decode(encoded).decode()}"},
        verify=ssl.create_default_context(cafile=platform.data_dir / "pki" / "ca.crt"),
        trust_env=False,
    ) as client:
        user = client.post(url, json={}).json()["status"]["userInfo"]["username"]
        assert user == f"system:serviceaccount:{namespace}:robot"
        kubectl("delete", "sa", "robot")
        assert client.post(url, json={}).status_code == 401
    kubectl("wait", "secret/robots", "--for=delete", "--timeout=20s")


def test_diff_shows_what_apply_would_change(
    platform: Platform, kubectl: Kubectl, namespace: str
) -> None:
    kubectl("apply", "-f", "-", stdin=config_map(a="1"))
    kubectl("diff", "-f", "-", stdin=config_map(a="1"))
    for options in ((), ("--server-side", "--force-conflicts")):
        command = ("diff", "-n", namespace, *options, "-f", "-")
        done = platform.kubectl(*command, stdin=config_map(a="2"), check=False)
        assert done.returncode == 1, done.stderr
        assert '-  a: "1"' in done.stdout
        assert '+  a: "2"' in done.stdout
    assert json.loads(kubectl("get", "cm/cm", "-o", "json"))["data"] == {"a": "1"}


def test_edit(
    platform: Platform, kubectl: Kubectl, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl("create", "configmap", "cm", "--from-literal=a=1")
    monkeypatch.setenv("KUBE_EDITOR", 'sed -i \'s/a: "1"/a: "5"/\'')
    assert kubectl("edit", "cm", "cm") == "configmap/cm edited\n"
    assert kubectl("get", "cm", "cm", "-o", "jsonpath={.data.a}") == "5"
    monkeypatch.setenv("KUBE_EDITOR", "true")
    done = platform.kubectl("-n", namespace, "edit", "cm", "cm")
    assert "no changes made" in done.stdout + done.stderr


def test_labels_and_annotations(kubectl: Kubectl, refused: Kubectl) -> None:
    kubectl("create", "configmap", "cm")
    assert kubectl("label", "cm", "cm", "x=y") == "configmap/cm labeled\n"
    assert "'x' already has a value (y), and --overwrite is false" in refused(
        "label", "cm", "cm", "x=z"
    )
    assert kubectl("label", "cm", "cm", "x=z", "--overwrite") == "configmap/cm labeled\n"
    assert kubectl("get", "cm", "-l", "x=z", "-o", "name") == "configmap/cm\n"
    assert kubectl("label", "cm", "cm", "x-") == "configmap/cm unlabeled\n"
    assert "name part must consist of alphanumeric" in refused("annotate", "cm", "cm", "bad key=1")
    assert kubectl("annotate", "cm", "cm", "note=hello") == "configmap/cm annotated\n"
    found = json.loads(kubectl("get", "cm", "cm", "-o", "json"))["metadata"]
    assert "labels" not in found
    assert found["annotations"] == {"note": "hello"}


def test_patches(kubectl: Kubectl, refused: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=config_map(a="1"))
    assert kubectl("patch", "cm", "cm", "-p", '{"data":{"b":"2"}}') == "configmap/cm patched\n"
    assert "(no change)" in kubectl("patch", "cm", "cm", "-p", '{"data":{"b":"2"}}')
    kubectl("patch", "cm", "cm", "--type=merge", "-p", '{"data":{"a":null}}')
    steps = '[{"op":"test","path":"/data/b","value":"2"},{"op":"remove","path":"/data/b"}]'
    kubectl("patch", "cm", "cm", "--type=json", "-p", steps)
    assert kubectl("get", "cm", "cm", "-o", "jsonpath={.data}") in ("", "{}")
    assert "a test of the patch failed" in refused("patch", "cm", "cm", "--type=json", "-p", steps)


def test_replace_needs_what_is_there(kubectl: Kubectl, refused: Kubectl) -> None:
    assert 'configmaps "cm" not found' in refused("replace", "-f", "-", stdin=config_map())
    kubectl("create", "configmap", "cm", "--from-literal=a=1")
    uid = kubectl("get", "cm", "cm", "-o", "jsonpath={.metadata.uid}")
    assert "replaced" in kubectl("replace", "-f", "-", stdin=config_map(a="2"))
    assert kubectl("get", "cm", "cm", "-o", "jsonpath={.metadata.uid}") == uid
    assert "replaced" in kubectl("replace", "--force", "-f", "-", stdin=config_map(a="3"))
    assert kubectl("get", "cm", "cm", "-o", "jsonpath={.metadata.uid}") != uid


def test_changes_of_a_pod_template(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=counter", "--replicas=0")
    kubectl("set", "image", "deploy/web", "counter=counter:2")
    kubectl("set", "env", "deploy/web", "A=B")
    kubectl("set", "resources", "deploy/web", "--limits=cpu=1,memory=64Mi")
    (container,) = json.loads(kubectl("get", "deploy", "web", "-o", "json"))["spec"]["template"][
        "spec"
    ]["containers"]
    assert container["image"] == "counter:2"
    assert container["env"] == [{"name": "A", "value": "B"}]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "64Mi"}
    kubectl("set", "serviceaccount", "deploy/web", "default")
    assert "A=B" in kubectl("set", "env", "deploy/web", "--list")
    kubectl("expose", "deploy/web", "--port=80", "--target-port=8080", "--name=web")
    kubectl("set", "selector", "svc/web", "app=other")
    assert kubectl("get", "svc", "web", "-o", "jsonpath={.spec.selector.app}") == "other"


def test_rights(kubectl: Kubectl, refused: Kubectl, namespace: str) -> None:
    rows = kubectl("auth", "can-i", "--list").splitlines()
    assert re.split(r" {2,}", rows[0].strip()) == [
        "Resources", "Non-Resource URLs", "Resource Names", "Verbs",
    ]  # fmt: skip
    assert any(row.split()[0] == "*.*" for row in rows[1:])
    account = f"system:serviceaccount:{namespace}:default"
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,configmaps")
    kubectl("create", "rolebinding", "r", "--role=reader", f"--serviceaccount={namespace}:default")
    own = kubectl("auth", "can-i", "--list", f"--as={account}")
    assert re.search(r"^pods +\[\] +\[\] +\[get list\]$", own, re.MULTILINE), own
    assert kubectl("auth", "can-i", "get", "pods", f"--as={account}") == "yes\n"
    assert "no" in platform_answer(kubectl, "auth", "can-i", "delete", "pods", f"--as={account}")
    who = kubectl("auth", "whoami", "-o", "json", f"--as={account}")
    assert json.loads(who)["status"]["userInfo"]["username"] == account
    assert "tidegate-admin" in kubectl("auth", "whoami")
    reconciled = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]}],
    }
    said = kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(reconciled))
    assert "reconciled" in said


def platform_answer(kubectl: Kubectl, *arguments: str) -> str:
    """What a command says whose answer is also its exit code."""
    try:
        return kubectl(*arguments)
    except AssertionError as error:
        return str(error)


def test_what_the_cluster_is(kubectl: Kubectl, platform: Platform) -> None:
    info = kubectl("cluster-info")
    assert f"https://127.0.0.1:{platform.api_port}" in info
    versions = kubectl("api-versions").split()
    assert {"v1", "apps/v1", "batch/v1", "events.k8s.io/v1", "serving.knative.dev/v1"} <= set(
        versions
    )
    assert versions == sorted(versions, key=lambda version: ("/" not in version, version))
    names = kubectl("api-resources", "--namespaced=false", "-o", "name").split()
    assert "namespaces" in names
    assert "pods" not in names
    assert "Server Version: v1.32" in kubectl("version")
    fields = kubectl("explain", "ksvc.spec.template.spec", "--recursive")
    assert re.search(r"^ +containerConcurrency\s+<integer>$", fields, re.MULTILINE), fields
    assert "selectableFields" not in kubectl("explain", "pod.spec.containers.env")
    openapi = json.loads(kubectl("get", "--raw", "/openapi/v3/api/v1"))
    assert "io.k8s.api.core.v1.Pod" in openapi["components"]["schemas"]


def test_events_of_an_object(kubectl: Kubectl) -> None:
    kubectl("run", "lost", "--image=no-such-image", "--restart=Never")
    kubectl(
        "wait",
        "pod/lost",
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff",
        "--timeout=60s",
    )
    for command in (
        ("events", "--for", "pod/lost"),
        ("get", "events", "--field-selector=involvedObject.name=lost"),
        ("get", "events.events.k8s.io", "--field-selector=regarding.name=lost"),
    ):
        rows = kubectl(*command).splitlines()
        assert rows[0].split()[:2] == ["LAST", "SEEN"]
        assert any("Failed" in row and "lost" in row for row in rows[1:]), rows
    assert "Failed" in kubectl("describe", "pod", "lost")


def test_attach_shows_what_a_container_writes_until_its_end(
    platform: Platform, kubectl: Kubectl, namespace: str
) -> None:
    script = "echo ready; while [ ! -e go ]; do sleep 0.05; done; echo done"
    kubectl(
        "run", "talker", "--image=counter", "--restart=Never", "--command", "--",
        "sh", "-c", script,
    )  # fmt: skip
    kubectl("wait", "pod/talker", "--for=condition=Ready", "--timeout=60s")
    with platform.start_kubectl(
        *("-n", namespace, "attach", "talker"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "command prompt" in process.stderr.readline()
        # The container may end, and with it this command, before the command does.
        platform.kubectl("-n", namespace, "exec", "talker", "--", "touch", "go", check=False)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1:] == ["done"]


def test_run_shows_the_output_and_removes_the_pod(
    platform: Platform, kubectl: Kubectl, namespace: str
) -> None:
    done = platform.kubectl(
        "-n", namespace, "run", "once", "-i", "--rm", "--restart=Never", "--image=counter",
        "--command", "--", "sh", "-c", "echo out of the pod", stdin="",
    )  # fmt: skip
    assert "out of the pod" in done.stdout
    assert 'pod "once" deleted' in done.stdout
    assert kubectl("get", "pods", "-o", "name") == ""


def test_debug_says_what_is_missing(kubectl: Kubectl, refused: Kubectl) -> None:
    kubectl("run", "box", "--image=counter", "--restart=Never")
    said = refused("debug", "box", "--image=counter", "--profile=general")
    assert "panic" not in said
    assert "ephemeral containers are disabled" in said


def test_a_deleted_namespace_takes_custom_objects_along(platform: Platform) -> None:
    def kubectl(*arguments: str, stdin: str | None = None) -> str:
        return platform.kubectl("-n", "harbour", *arguments, stdin=stdin).stdout

    platform.kubectl("create", "namespace", "harbour")
    wanted = definition("buoys", "Buoy")
    platform.apply(json.dumps(wanted))
    platform.kubectl("wait", "crd/buoys.example.com", "--for=condition=Established")
    owner = json.loads(kubectl("create", "configmap", "owner", "-o", "json"))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    for name, metadata in (
        ("owned", {"ownerReferences": [reference]}),
        ("held", {"finalizers": ["example.com/held"]}),
    ):
        body = {
            "apiVersion": "example.com/v1",
            "kind": "Buoy",
            "metadata": {"name": name, **metadata},
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(body))
    kubectl("delete", "configmap", "owner")
    kubectl("wait", "buoy/owned", "--for=delete", "--timeout=30s")
    platform.kubectl("delete", "namespace", "harbour", "--wait=false")
    platform.kubectl(
        "wait", "ns/harbour", "--for=condition=NamespaceFinalizersRemaining", "--timeout=30s"
    )
    kubectl("patch", "buoy/held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    platform.kubectl("wait", "ns/harbour", "--for=delete", "--timeout=30s")
    platform.kubectl("delete", "crd", "buoys.example.com")
