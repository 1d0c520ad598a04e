"""What the portal makes of the objects of the Kubernetes API and of its environment."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from portal.errors import ConfigurationError, GatewayUnknown, KubernetesError
from portal.gateway import Gateway, gateway_of
from portal.kubernetes import KubernetesClient
from portal.pods import backoff, view_of
from portal.settings import Settings, from_environment
from tests.fakes import HOST, ingress, pod

IMAGE = Path(__file__).parent.parent


def test_the_gateway_is_the_address_and_port_of_the_ingress() -> None:
    gateway = gateway_of(ingress("127.0.0.1", 8080))

    assert gateway == Gateway(host=HOST, address="127.0.0.1", port=8080)
    assert gateway.url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ({"ip": "10.0.0.7"}, "http://10.0.0.7:80"),
        ({"hostname": "lb.example.com", "ports": []}, "http://lb.example.com:80"),
        ({"ip": "fd00::7", "ports": [{"port": 81}]}, "http://[fd00::7]:81"),
    ],
)
def test_the_port_is_80_unless_it_is_told(address: dict[str, Any], url: str) -> None:
    told = ingress("", 0)
    told["status"]["loadBalancer"]["ingress"] = [address]

    assert gateway_of(told).url == url


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({}, "no host"),
        ({"spec": {"rules": []}}, "no host"),
        ({"spec": {"rules": [{"host": HOST}]}}, "no address yet"),
        (
            {"spec": {"rules": [{"host": HOST}]}, "status": {"loadBalancer": {"ingress": []}}},
            "no address yet",
        ),
    ],
)
def test_an_unfinished_ingress_says_what_is_missing(broken: dict[str, Any], what: str) -> None:
    with pytest.raises(GatewayUnknown, match=what):
        gateway_of(broken)


def conditions(**states: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": status} for kind, status in states.items()]


@pytest.mark.parametrize(
    ("status", "state", "detail"),
    [
        ({}, "pending", ""),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                ],
            },
            "pending",
            "Unschedulable",
        ),
        (
            {
                "phase": "Pending",
                "conditions": conditions(PodScheduled="True"),
                "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
            },
            "starting",
            "ImagePullBackOff",
        ),
        ({"phase": "Running", "conditions": conditions(Ready="False")}, "starting", ""),
        ({"phase": "Running", "conditions": conditions(Ready="True")}, "ready", ""),
        ({"phase": "Failed", "reason": "Evicted"}, "failed", "Evicted"),
        ({"phase": "Succeeded"}, "finished", ""),
    ],
)
def test_the_state_of_a_pod(status: dict[str, Any], state: str, detail: str) -> None:
    view = view_of({"metadata": {"name": "a"}, "status": status})

    assert (view.state, view.detail) == (state, detail)


def test_a_deleted_pod_is_terminating_although_it_is_ready() -> None:
    leaving = pod("a")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert view_of(leaving).state == "terminating"


def test_failures_in_a_row_are_asked_about_less_often() -> None:
    assert [backoff(1.0, failures) for failures in (0, 1, 2, 3, 4, 100)] == [1, 2, 4, 8, 15, 15]


async def test_outside_a_cluster_the_message_says_so(tmp_path: Path) -> None:
    client = KubernetesClient(host="", port=443, service_account_dir=tmp_path)
    with pytest.raises(KubernetesError, match="does not run in a cluster"):
        await client.list_pods("default", "a=b")


async def test_a_missing_service_account_is_named(tmp_path: Path) -> None:
    client = KubernetesClient(host="127.0.0.1", port=1, service_account_dir=tmp_path)
    with pytest.raises(KubernetesError, match=r"ca\.crt cannot be read"):
        await client.get_ingress("default", "a")


def test_the_defaults_are_those_of_the_seed() -> None:
    settings = from_environment({})

    assert settings == Settings()
    assert (settings.namespace, settings.service) == ("default", "knative-sd-demo")
    assert (settings.port, settings.service_page_port) == (8080, 8888)


def test_the_environment_is_read() -> None:
    settings = from_environment(
        {
            "PORT": "0",
            "PORT_8888": "18888",
            "MAX_CONCURRENT_REQUESTS": "12",
            "POD_NAMESPACE": "models",
            "TARGET_SERVICE": "painter",
            "TARGET_PATH": "/paint",
            "REQUEST_TIMEOUT_SECONDS": "60",
            "SERVICE_PAGE_URL": "https://painter.example.com/",
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
            "KUBERNETES_SERVICE_PORT": "6443",
            "SERVICE_ACCOUNT_DIR": "/account",
        }
    )

    assert settings == Settings(
        port=0,
        service_page_port=18888,
        max_concurrency=12,
        namespace="models",
        service="painter",
        path="/paint",
        request_timeout=60.0,
        service_page_url="https://painter.example.com/",
        kubernetes_host="10.0.0.1",
        kubernetes_port=6443,
        service_account_dir=Path("/account"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT_8888", "65536"),
        ("MAX_CONCURRENT_REQUESTS", "0"),
        ("MAX_TOTAL_REQUESTS", "-1"),
        ("REQUEST_TIMEOUT_SECONDS", "1.5"),
        ("TARGET_PATH", "paint"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        from_environment({name: value})


def test_the_image_stands_for_the_reference_of_the_seed() -> None:
    image = tomllib.loads((IMAGE / "image.toml").read_text())

    assert image["aliases"] == ["registry-vpc.cn-beijing.aliyuncs.com/acs/sd-yunqi-server:v1.0.2"]
    assert image["ports"] == [
        {"container": 8080, "env": "PORT"},
        {"container": 8888, "env": "PORT_8888"},
    ]
    assert (IMAGE / image["requirements"]).is_file()
    assert (IMAGE / image["command"][1]).is_file()
