from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

from a1111 import Client, Running, started  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    with started() as running:
        yield running


@pytest.fixture
def client(server: Running) -> Client:
    return server.client
