"""One platform for the tests that do not break it; those that do start their own."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.e2e.platform import Platform, running_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        # Quick scale-down for every test that watches it, and none to wait for where one begins at
        # zero.
        running.configure_autoscaler(
            stable_window="6s", scale_to_zero_grace_period="1s", allow_zero_initial_scale="true"
        )
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker("e2e")
