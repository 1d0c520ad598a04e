"""The platform runs on uvloop, the other tests do not: what could differ is tried here."""

from __future__ import annotations

from pathlib import Path

import uvloop

from tests.node.images import make_image
from tests.node.running import READINESS, ask, main_of, pid_of, stage
from tidegate.kube.objects import is_condition_true


async def life(path: Path) -> None:
    async with stage(path) as theatre:
        make_image(theatre.images)
        first = theatre.start()
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        await theatre.create("a", container={**READINESS, "livenessProbe": probe})
        before = await theatre.ready("a")
        assert (await ask(before))["pid"] == pid_of(before)
        await first.die()
        second = theatre.start()
        await theatre.api.eventually(lambda: any(u.running for u in second.node.usage()))
        output = [data async for data in second.node.logs.stream("default", "a")]
        assert b"listening on" in b"".join(output)
        assert pid_of(await theatre.get("a")) == pid_of(before)
        await theatre.delete("a")
        await theatre.gone("a")
        await theatre.create("b", container={"command": ["false"]}, restartPolicy="Never")
        ended = await theatre.until("b", lambda p: p["status"]["phase"] == "Failed")
        assert main_of(ended)["state"]["terminated"]["exitCode"] == 1
        assert not is_condition_true(ended, "Ready")


def test_the_life_of_pods_on_uvloop(tmp_path: Path) -> None:
    uvloop.run(life(tmp_path))
