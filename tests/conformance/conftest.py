"""One platform for all clients that were never written for it, each in a namespace of its own."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.conformance.knative import Api
from tests.e2e.platform import Platform, running_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture
def kubeconfig(platform: Platform) -> Path:
    return platform.data_dir / "kubeconfig"


@pytest.fixture
def namespace(platform: Platform) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    platform.kubectl("create", "namespace", name)
    yield name
    platform.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def api(platform: Platform) -> Iterator[Api]:
    """A client on a namespace that the tests of a module share."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    platform.kubectl("create", "namespace", name)
    client = Api(platform, name)
    yield client
    client.close()
    platform.kubectl("delete", "namespace", name, "--wait=false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/conformance/" in str(item.path):
            item.add_marker("e2e")
