"""A gateway for each test: plain, or with a model behind it that speaks gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.gateway.grpc_model import GrpcWorld, running_model
from tests.gateway.world import World, running_gateway
from tidegate.gateway import model as gateway_model
from tidegate.gateway.haproxy import config


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def model(tmp_path: Path) -> AsyncIterator[GrpcWorld]:
    async with running_model(tmp_path) as running:
        yield running


@pytest.fixture
def usual_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a revision without settings has for a first byte is a second, not five minutes."""
    monkeypatch.setattr(gateway_model, "USUAL_START_MS", 1000)
    monkeypatch.setattr(config, "USUAL_START_MS", 1000)
