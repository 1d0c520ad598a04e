"""The official JavaScript client, on the Node.js of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.objects import service

PACKAGE = "@kubernetes/client-node@1.3.0"
PROGRAM = Path(__file__).with_name("javascript_client.mjs")
NODE, NPM = shutil.which("node"), shutil.which("npm")


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the client's package and the program that uses it."""
    if NODE is None or NPM is None:
        pytest.skip("Node.js and npm are not on PATH")
    directory = tmp_path_factory.mktemp("javascript")
    (directory / "package.json").write_text(json.dumps({"name": "client", "private": True}))
    done = subprocess.run(
        [NPM, "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.strip()[-300:]}")
    shutil.copy(PROGRAM, directory / PROGRAM.name)
    return directory


@pytest.mark.parametrize(
    "scenario",
    [
        "objects",
        "patches",
        "informer",
        "knative",
        "logs",
        "exec",
        "input",
        "attach",
        "portforward",
        "applies",
    ],
)
def test_scenario(javascript: Path, kubeconfig: Path, namespace: str, scenario: str) -> None:
    assert NODE is not None
    done = subprocess.run(
        [NODE, PROGRAM.name, scenario, namespace],
        cwd=javascript,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "NODE_NO_WARNINGS": "1"},
        input=json.dumps(service("hello", namespace)),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
