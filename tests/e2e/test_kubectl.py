"""The kubectl on this machine against the API: what its user does every day."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from tests.e2e.platform import REPOSITORY, Platform, knative_service

PORTAL = REPOSITORY / "examples/portal/portal-server.yaml"

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: counter
        env: [{{name: VERSION, value: "{version}"}}]
        ports: [{{containerPort: 8080, name: web}}]
        readinessProbe: {{httpGet: {{port: web, path: /}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  type: LoadBalancer
  ports: [{{port: 8099, targetPort: web}}]
"""


@pytest.fixture(scope="module")
def deployment(platform: Platform) -> str:
    created = platform.apply(DEPLOYMENT.format(name="web", replicas=2, version="one"))
    assert "deployment.apps/web created" in created
    platform.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return "web"


def test_apply_says_created_configured_and_unchanged(platform: Platform) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"a": "1"},
    }
    assert "created" in platform.apply(yaml.safe_dump(manifest))
    assert "unchanged" in platform.apply(yaml.safe_dump(manifest))
    manifest["data"] = {"b": "2"}
    assert "configured" in platform.apply(yaml.safe_dump(manifest))
    assert platform.get("configmap", "settings")["data"] == {"b": "2"}


def test_the_seeds_portal_manifest_applies_unchanged(platform: Platform) -> None:
    dry = platform.kubectl("apply", "-f", str(PORTAL), "--dry-run=server").stdout
    assert dry.count("created (server dry run)") == 5


def test_tables_have_the_columns_of_kubernetes(platform: Platform, deployment: str) -> None:
    pods = platform.kubectl("get", "pods", "-l", f"app={deployment}").stdout.splitlines()
    assert pods[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[1:4] for line in pods[1:]] == [["1/1", "Running", "0"]] * 2
    wide = platform.kubectl("get", "pods", "-l", f"app={deployment}", "-o", "wide").stdout
    assert "127.0.0.1" in wide
    deployments = platform.kubectl("get", "deploy", deployment).stdout.splitlines()
    assert deployments[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert deployments[1].split()[1:4] == ["2/2", "2", "2"]
    everything = platform.kubectl("get", "pods", "-A").stdout
    assert everything.splitlines()[0].split()[0] == "NAMESPACE"


def test_output_formats(platform: Platform, deployment: str) -> None:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert platform.kubectl("get", "deploy", deployment, "-o", path).stdout == "counter"
    as_yaml = yaml.safe_load(platform.kubectl("get", "deploy", deployment, "-o", "yaml").stdout)
    assert as_yaml["status"]["readyReplicas"] == 2


def test_describe_shows_events(platform: Platform, deployment: str) -> None:
    pod = platform.get("pods", "-l", f"app={deployment}")["items"][0]["metadata"]["name"]
    described = platform.kubectl("describe", "pod", pod).stdout
    for reason in ("Scheduled", "Created", "Started"):
        assert reason in described
    assert "ScalingReplicaSet" in platform.kubectl("describe", "deploy", deployment).stdout


def test_logs(platform: Platform, deployment: str) -> None:
    log = platform.kubectl("logs", f"deploy/{deployment}").stdout
    assert "counter: ready" in log


def test_logs_follow_until_the_pod_ends(platform: Platform) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "short"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "c", "image": "counter", "env": [{"name": "EXIT_CODE", "value": "3"}]}
            ],
        },
    }
    platform.apply(json.dumps(pod))
    platform.kubectl("wait", "pod/short", "--for=jsonpath={.status.phase}=Failed", "--timeout=20s")
    assert "told to fail" in platform.kubectl("logs", "-f", "short", timeout=20).stdout
    state = platform.get("pod", "short")["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 3


def test_the_load_balancer_answers_at_its_address(platform: Platform, deployment: str) -> None:
    platform.kubectl(
        "wait", f"service/{deployment}", "--timeout=10s",
        "--for=jsonpath={.status.loadBalancer.ingress[0].ip}",
    )  # fmt: skip
    service = platform.get("service", deployment)
    address = service["status"]["loadBalancer"]["ingress"][0]["ip"]
    for target in (f"{address}:8099", f"{service['spec']['clusterIP']}:8099"):
        done = subprocess.run(
            [
                "curl",
                "--silent",
                "--fail",
                "--noproxy",
                "*",
                "--max-time",
                "5",
                f"http://{target}/",
            ],
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout)["pod"].startswith(deployment)


def test_scale_and_rollout(platform: Platform, deployment: str) -> None:
    platform.kubectl("scale", f"deploy/{deployment}", "--replicas=3")
    platform.kubectl("rollout", "status", f"deploy/{deployment}", "--timeout=30s")
    assert platform.get("deploy", deployment)["status"]["readyReplicas"] == 3
    platform.apply(DEPLOYMENT.format(name=deployment, replicas=2, version="two"))
    platform.kubectl("rollout", "status", f"deploy/{deployment}", "--timeout=30s")
    sets = platform.get("rs", "-l", f"app={deployment}")["items"]
    assert sorted(s["spec"]["replicas"] for s in sets) == [0, 2]


def test_wait_and_watch(platform: Platform, deployment: str) -> None:
    platform.kubectl("wait", "--for=condition=Available", f"deploy/{deployment}", "--timeout=20s")
    watched = platform.kubectl(
        "get", "deploy", deployment, "-w", "--request-timeout=2s", check=False
    ).stdout
    assert deployment in watched


def test_owned_objects_go_with_their_owner(platform: Platform) -> None:
    platform.apply(DEPLOYMENT.format(name="brief", replicas=1, version="one"))
    platform.kubectl("rollout", "status", "deployment/brief", "--timeout=30s")
    platform.kubectl("delete", "deployment/brief", "service/brief", "--cascade=foreground")
    platform.kubectl("wait", "--for=delete", "pods", "-l", "app=brief", "--timeout=30s")
    assert platform.get("rs,pods,endpointslices", "-l", "app=brief")["items"] == []


def test_namespaces_come_and_go_with_their_content(platform: Platform) -> None:
    platform.kubectl("create", "namespace", "team")
    platform.kubectl("create", "configmap", "x", "--namespace=team", "--from-literal=a=b")
    assert platform.get("sa", "default", "--namespace=team")["metadata"]["name"] == "default"
    platform.kubectl("delete", "namespace", "team", "--timeout=30s")
    gone = platform.kubectl("get", "configmap", "x", "--namespace=team", check=False)
    assert "not found" in gone.stderr.lower()


def test_discovery_and_explain(platform: Platform) -> None:
    resources = platform.kubectl("api-resources").stdout
    for line in ("ksvc", "deployments", "ingresses", "clusterroles"):
        assert line in resources
    assert "containerConcurrency" in platform.kubectl("explain", "ksvc.spec.template.spec").stdout
    assert "replicas" in platform.kubectl("explain", "deployment.spec").stdout


def test_a_priority_class(platform: Platform) -> None:
    platform.kubectl("create", "priorityclass", "high", "--value=1000", "--description=matters")
    rows = [line.split() for line in platform.kubectl("get", "pc").stdout.splitlines()]
    assert rows[0] == ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"]
    assert ["high", "1000", "false", rows[1][3], "PreemptLowerPriority"] == rows[1]
    assert [row[0] for row in rows[2:]] == ["system-cluster-critical", "system-node-critical"]
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "important"},
        "spec": {
            "priorityClassName": "high",
            "containers": [{"name": "main", "image": "counter"}],
        },
    }
    platform.apply(yaml.safe_dump(manifest))
    assert platform.get("pod", "important")["spec"]["priority"] == 1000
    platform.kubectl("delete", "pod/important", "priorityclass/high", "--grace-period=1")


def test_rights_are_enforced(platform: Platform) -> None:
    platform.kubectl("create", "serviceaccount", "limited")
    token = platform.kubectl("create", "token", "limited").stdout.strip()
    options = [
        "--kubeconfig=/dev/null",
        f"--server=https://127.0.0.1:{platform.api_port}",
        f"--certificate-authority={platform.data_dir}/pki/ca.crt",
        f"--token={token}",
    ]
    refused = platform.kubectl(*options, "get", "pods", check=False)
    assert "Forbidden" in refused.stderr
    assert "system:serviceaccount:default:limited" in refused.stderr
    answer = platform.kubectl(
        "auth", "can-i", "list", "pods", "--as=system:serviceaccount:default:limited", check=False
    )
    assert answer.stdout.strip() in ("no", "")


def test_knative_columns(platform: Platform) -> None:
    platform.apply(knative_service("columns"))
    platform.wait_ready("ksvc/columns")
    header, line = platform.kubectl("get", "ksvc", "columns").stdout.splitlines()
    assert header.split() == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    url = f"http://columns.default.localhost:{platform.gateway_port}"
    assert line.split() == ["columns", url, "columns-00001", "columns-00001", "True"]
    platform.kubectl("delete", "ksvc/columns")


def test_the_token_of_its_account_is_a_volume_of_a_pod(platform: Platform) -> None:
    platform.kubectl("create", "namespace", "fresh")
    script = (
        "cd /var/run/secrets/kubernetes.io/serviceaccount; ls; cat namespace; echo;"
        " cut -d. -f1 token | base64 -d 2>/dev/null; head -1 ca.crt"
    )
    done = platform.kubectl(
        "-n", "fresh", "run", "reader", "-i", "--restart=Never", "--image=counter", "--command",
        "--", "sh", "-c", f"cat; {script}", stdin="",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:4] == ["ca.crt", "namespace", "token", "fresh"]
    assert '"alg"' in done.stdout
    assert lines[-1].endswith("-----BEGIN CERTIFICATE-----")
    pod = platform.get("pod", "reader", "-n", "fresh")
    [volume] = pod["spec"]["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert pod["spec"]["containers"][0]["volumeMounts"][0]["name"] == volume["name"]
    described = platform.kubectl("-n", "fresh", "describe", "pod", "reader").stdout
    assert "TokenExpirationSeconds:  3607" in described
    assert "ConfigMapName:           kube-root-ca.crt" in described
    platform.kubectl("delete", "namespace", "fresh", "--wait=false")
