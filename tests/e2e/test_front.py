"""The front of the gateway as users set it up: HTTPS, their own domains, gray releases."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.e2e.platform import Platform, knative_service
from tidegate.kube import certificates
from tidegate.kube.certificates import Issued


def _deploy(platform: Platform, name: str, **options: Any) -> None:
    platform.apply(knative_service(name, **options))
    platform.wait_ready(f"ksvc/{name}")


def _https(platform: Platform, host: str, trusted: str) -> httpx.Response:
    """A request over HTTPS that checks the certificate against the host."""
    context = ssl.create_default_context(cadata=trusted)
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        return client.get(
            f"https://127.0.0.1:{platform.https_port}/",
            headers={"Host": host},
            extensions={"sni_hostname": host},
        )


def _own_certificate(directory: Path, host: str) -> Issued:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "company")])
    company = certificates.new_authority(name, now=now, life=timedelta(days=30))
    pair = certificates.issue_server(company, name, [host], now=now)
    (directory / "tls.crt").write_bytes(pair.certificate_pem)
    (directory / "tls.key").write_bytes(pair.key_pem)
    return company


def test_a_service_is_there_over_https_and_its_url_follows_the_config(platform: Platform) -> None:
    _deploy(platform, "secure")
    trusted = (platform.data_dir / "pki" / "ca.crt").read_text()
    host = "secure.default.localhost"

    assert _https(platform, host, trusted).json()["headers"]["x-forwarded-proto"] == "https"
    assert platform.get("ksvc", "secure")["status"]["url"].startswith("http://")

    network = ("configmap/config-network", "--namespace=knative-serving", "--type=merge")
    platform.kubectl("patch", *network, '--patch={"data":{"external-domain-tls":"Enabled"}}')
    try:
        url = f"https://{host}:{platform.https_port}"
        platform.kubectl("wait", "ksvc/secure", f"--for=jsonpath={{.status.url}}={url}")
    finally:
        platform.kubectl("patch", *network, '--patch={"data":{"external-domain-tls":null}}')
        platform.kubectl("delete", "ksvc/secure")


def test_a_mapped_domain_shows_the_certificate_of_its_secret(
    platform: Platform, tmp_path: Path
) -> None:
    host = "models.shop.example"
    company = _own_certificate(tmp_path, host)
    _deploy(platform, "shop")
    platform.kubectl(
        "create", "secret", "tls", "shop-tls",
        f"--cert={tmp_path / 'tls.crt'}", f"--key={tmp_path / 'tls.key'}",
    )  # fmt: skip
    platform.apply(
        json.dumps(
            {
                "apiVersion": "networking.internal.knative.dev/v1alpha1",
                "kind": "ClusterDomainClaim",
                "metadata": {"name": host},
                "spec": {"namespace": "default"},
            }
        )
    )
    platform.apply(
        json.dumps(
            {
                "apiVersion": "serving.knative.dev/v1beta1",
                "kind": "DomainMapping",
                "metadata": {"name": host, "namespace": "default"},
                "spec": {
                    "ref": {
                        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "shop",
                    },
                    "tls": {"secretName": "shop-tls"},
                },
            }
        )
    )  # fmt: skip
    try:
        platform.wait_ready(f"dm/{host}")
        found = platform.get("dm", host)["status"]
        assert found["url"] == f"https://{host}:{platform.https_port}"
        answer = _https(platform, host, company.certificate_pem.decode())
        assert answer.json()["headers"]["host"] == host
    finally:
        platform.kubectl("delete", f"dm/{host}", "secret/shop-tls", "ksvc/shop", check=False)


def test_a_gray_release_by_header_and_cookie(platform: Platform) -> None:
    _deploy(platform, "gray", env={"VERSION": "old"})
    manifest = json.loads(knative_service("gray", env={"VERSION": "new"}))
    manifest["spec"]["traffic"] = [
        {"revisionName": "gray-00001", "percent": 100},
        {"latestRevision": True, "percent": 0, "tag": "canary"},
    ]
    rules = [
        {"tag": "canary", "header": "X-Gray", "value": "on"},
        {"tag": "canary", "cookie": "gray"},
    ]
    manifest["metadata"]["annotations"] = {"tidegate.dev/traffic-rules": json.dumps(rules)}
    platform.apply(json.dumps(manifest))
    platform.kubectl(
        "wait", "ksvc/gray", "--timeout=60s",
        "--for=jsonpath={.status.latestReadyRevisionName}=gray-00002",
    )  # fmt: skip
    platform.wait_ready("ksvc/gray")

    def version(**headers: str) -> str:
        return str(platform.request("gray.default.localhost", headers=headers).json()["revision"])

    assert version() == "gray-00001"
    assert version(**{"X-Gray": "on"}) == "gray-00002"
    assert version(Cookie="gray=always") == "gray-00002"
    assert version(Cookie="gray=never") == "gray-00001"

    rules[0]["tag"] = "missing"
    manifest["metadata"]["annotations"]["tidegate.dev/traffic-rules"] = json.dumps(rules)
    with pytest.raises(AssertionError, match=r'has no tag "missing": metadata\.annotations'):
        platform.apply(json.dumps(manifest))
    platform.kubectl("delete", "ksvc/gray")
