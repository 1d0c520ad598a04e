"""A gateway for each test: plain, or with a model behind it that speaks gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.gateway.grpc_model import GrpcWorld, running_model
from tests.gateway.world import World, running_gateway


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def model(tmp_path: Path) -> AsyncIterator[GrpcWorld]:
    async with running_model(tmp_path) as running:
        yield running
