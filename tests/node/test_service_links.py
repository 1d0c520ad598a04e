"""Which variables tell a container the Services of its namespace."""

from __future__ import annotations

from typing import Any

from tidegate.kube.objects import Object
from tidegate.node.lifecycle.service_links import variables_of


def service(name: str, *ports: Object, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": spec.pop("labels", {})},
        "spec": {
            "clusterIP": "127.96.0.11",
            "selector": {"app": name},
            "ports": list(ports),
            **spec,
        },
    }


def test_a_service_has_the_names_that_kubernetes_gives_it() -> None:
    found = variables_of(
        [
            service(
                "redis-primary",
                {"port": 6379, "name": "my-client"},
                {"port": 53, "protocol": "UDP"},
            )
        ]
    )

    assert found == {
        "REDIS_PRIMARY_SERVICE_HOST": "127.96.0.11",
        "REDIS_PRIMARY_SERVICE_PORT": "6379",
        "REDIS_PRIMARY_SERVICE_PORT_MY_CLIENT": "6379",
        "REDIS_PRIMARY_PORT": "tcp://127.96.0.11:6379",
        "REDIS_PRIMARY_PORT_6379_TCP": "tcp://127.96.0.11:6379",
        "REDIS_PRIMARY_PORT_6379_TCP_PROTO": "tcp",
        "REDIS_PRIMARY_PORT_6379_TCP_PORT": "6379",
        "REDIS_PRIMARY_PORT_6379_TCP_ADDR": "127.96.0.11",
        "REDIS_PRIMARY_PORT_53_UDP": "udp://127.96.0.11:53",
        "REDIS_PRIMARY_PORT_53_UDP_PROTO": "udp",
        "REDIS_PRIMARY_PORT_53_UDP_PORT": "53",
        "REDIS_PRIMARY_PORT_53_UDP_ADDR": "127.96.0.11",
    }


def test_nobody_is_told_of_what_does_not_answer() -> None:
    port = {"port": 80}
    revision = {"serving.knative.dev/revision": "hello-00001"}

    assert not variables_of(
        [
            service("headless", port, clusterIP="None"),
            service("outside", port, type="ExternalName", clusterIP=""),
            service("hello-00001", port, labels=revision),
            service("no-ports"),
        ]
    )
