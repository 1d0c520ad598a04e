"""Nodes on a real API, with the images that most tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.images import SHELL, make_image
from tests.node.running import Stage, stage
from tidegate.kube.clock import Clock, SystemClock


@pytest.fixture
def clock_type() -> type[Clock]:
    """What the node goes by; see `hasty` for another."""
    return SystemClock


@pytest.fixture
async def theatre(tmp_path: Path, clock_type: type[Clock]) -> AsyncIterator[Stage]:
    """A stage whose image `web` is an HTTP server; nothing runs yet."""
    async with stage(tmp_path, clock=clock_type()) as theatre:
        make_image(theatre.images)
        yield theatre


@pytest.fixture
async def shell(tmp_path: Path, clock_type: type[Clock]) -> AsyncIterator[Stage]:
    """A stage on which a node runs and the pods of `web` say what expressions are in them."""
    async with stage(tmp_path, clock=clock_type()) as theatre:
        make_image(theatre.images, program=SHELL)
        theatre.start()
        yield theatre
