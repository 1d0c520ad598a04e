"""What must hold before a platform starts."""

from __future__ import annotations

import socket

import pytest

from tidegate.cli.process import preflight
from tidegate.kube.errors import UserError


def test_a_busy_port_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"127\.0\.0\.1:{port} for the console.*--console-port"
        ):
            preflight.check_port("127.0.0.1", port, option="--console-port", purpose="console")
    preflight.check_port("127.0.0.1", port, option="--console-port", purpose="console")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match="--bind"):
        preflight.check_port("192.0.2.1", 6443, option="--api-port", purpose="Kubernetes API")
