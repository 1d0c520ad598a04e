"""What is wrong is refused with words that help, and changes nothing."""

from __future__ import annotations

import json
import ssl

import httpx
import pytest

from tests.e2e.platform import Platform, knative_service


def _refused(platform: Platform, manifest: str) -> str:
    before = platform.kubectl("get", "ksvc,deploy,configmap", "-A", "-o", "name").stdout
    done = platform.kubectl("apply", "-f", "-", stdin=manifest, check=False)
    assert done.returncode != 0
    assert platform.kubectl("get", "ksvc,deploy,configmap", "-A", "-o", "name").stdout == before
    return done.stderr


def _without_image() -> str:
    service = json.loads(knative_service("bad"))
    del service["spec"]["template"]["spec"]["containers"][0]["image"]
    return json.dumps(service)


def _with_unknown_field() -> str:
    service = json.loads(knative_service("bad"))
    service["spec"]["template"]["spec"]["containerConcurency"] = 3
    return json.dumps(service)


def _with_percents(*percents: int) -> str:
    traffic = [{"percent": p, "latestRevision": True, "tag": f"t{p}"} for p in percents]
    return knative_service("bad", traffic=traffic)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("apiVersion: v1\nkind: [unclosed\n", ["yaml"]),
        (_with_unknown_field(), ["containerConcurency"]),
        (_without_image(), ["missing field(s)", "spec.template.spec.containers[0].image"]),
        (_with_percents(60, 30), ["Traffic targets sum to 90, want 100"]),
        (knative_service("bad", concurrency=5000), ["containerConcurrency", "1000"]),
        (knative_service("Bad_Name"), ["metadata.name"]),
        ("apiVersion: v1\nkind: Unicorn\nmetadata: {name: x}\n", ["Unicorn"]),
    ],
    ids=["yaml", "unknown-field", "no-image", "percents", "range", "name", "kind"],
)
def test_bad_manifests(platform: Platform, manifest: str, words: list[str]) -> None:
    message = _refused(platform, manifest)
    for word in words:
        assert word.lower() in message.lower()


def _trust(platform: Platform) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(platform.data_dir / "pki" / "ca.crt"))


def test_a_wrong_token_is_no_one(platform: Platform) -> None:
    with httpx.Client(verify=_trust(platform), trust_env=False) as client:
        answer = client.get(
            f"https://127.0.0.1:{platform.api_port}/api/v1/pods",
            headers={"Authorization": "Bearer not.a.token"},
        )
    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"


def test_a_body_over_the_limit(platform: Platform) -> None:
    token = platform.kubectl("create", "token", "default").stdout.strip()
    huge = b'{"kind":"ConfigMap","data":{"x":"' + b"x" * (8 << 20) + b'"}}'
    with httpx.Client(verify=_trust(platform), trust_env=False) as client:
        answer = client.post(
            f"https://127.0.0.1:{platform.api_port}/api/v1/namespaces/default/configmaps",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            content=huge,
        )
    assert answer.status_code == 413
    assert answer.json()["reason"] == "RequestEntityTooLarge"


def test_an_unknown_host_at_the_gateway(platform: Platform) -> None:
    answer = platform.request("nobody.default.localhost")
    assert answer.status_code == 404
    assert "nobody.default.localhost" in answer.text


def test_an_unknown_image_is_named_with_what_would_make_it_known(platform: Platform) -> None:
    platform.apply(knative_service("strange", image="example.com/never/heard-of:v9"))
    platform.kubectl(
        "wait", "ksvc/strange", "--timeout=30s",
        '--for=jsonpath={.status.conditions[?(@.type=="Ready")].status}=False',
    )  # fmt: skip
    service = platform.get("ksvc", "strange")
    ready = next(c for c in service["status"]["conditions"] if c["type"] == "Ready")
    assert "example.com/never/heard-of:v9" in ready["message"]
    pod = platform.get("pods", "-l", "serving.knative.dev/service=strange")["items"][0]
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert "tidegate image add" in waiting["message"]
    platform.kubectl("delete", "ksvc/strange")


def test_a_container_that_exits_is_told_with_its_code(platform: Platform) -> None:
    platform.apply(knative_service("dying", env={"EXIT_CODE": "7"}))
    platform.kubectl(
        "wait", "ksvc/dying", "--timeout=30s",
        '--for=jsonpath={.status.conditions[?(@.type=="Ready")].status}=False',
    )  # fmt: skip
    revision = platform.get("revision", "dying-00001")
    healthy = next(c for c in revision["status"]["conditions"] if c["type"] == "ContainerHealthy")
    assert healthy["reason"] == "ExitCode7"
    platform.kubectl("delete", "ksvc/dying")
