from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.images import make_image
from tests.node.running import READINESS, Stage, ask, main_of, pid_of, port_of, stage


@pytest.fixture
async def theatre(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as theatre:
        make_image(theatre.images)
        yield theatre


async def test_a_pod_runs_gets_ready_and_is_deleted(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container=READINESS)
    pod = await theatre.ready("a")
    answer = await ask(pod, "/hello")
    assert answer["path"] == "/hello"
    assert answer["pid"] == pid_of(pod)
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"] == "127.0.0.1"
    await theatre.delete("a")
    await theatre.gone("a")
    with pytest.raises(OSError, match="refused|Connect"):
        await ask(pod)
    assert main_of(pod)["restartCount"] == 0
    assert port_of(pod) >= 20000
