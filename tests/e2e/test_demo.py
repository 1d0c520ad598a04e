"""`make demo` and `make stop` as a stranger runs them, on ports and a directory of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.platform import REPOSITORY, Platform, free_ports


@pytest.mark.timeout(400)
def test_the_demo_holds_and_leaves_a_picture_and_a_running_platform(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", *free_ports(4))
    picture = REPOSITORY / "out" / "cat.png"
    shutil.rmtree(picture.parent, ignore_errors=True)
    try:
        done = _make("demo", platform)
        assert done.returncode == 0, done.stdout + done.stderr
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "5 pods answered" in done.stdout
        assert "none ever held more than 1 at once" in done.stdout
        assert "no pod left" in done.stdout
        service = platform.get("ksvc", "knative-sd-demo")
        assert service["status"]["url"] in done.stdout
    finally:
        stopped = _make("stop", platform)
    assert stopped.returncode == 0, stopped.stderr


def _make(target: str, platform: Platform) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    return subprocess.run(
        ["make", "--no-print-directory", target],
        cwd=REPOSITORY,
        env={
            **environment,
            "TIDEGATE_HOME": str(platform.data_dir),
            "TIDEGATE_API_PORT": str(platform.api_port),
            "TIDEGATE_GATEWAY_PORT": str(platform.gateway_port),
            "TIDEGATE_CONSOLE_PORT": str(platform.console_port),
            "TIDEGATE_HTTPS_PORT": str(platform.https_port),
            "COLUMNS": "120",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
