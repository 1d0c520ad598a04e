"""How many GPUs there are, by what their driver says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.node import gpus
from tidegate.node.gpus import count_gpus


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the program on a machine whose driver is asked by it alone."""
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "no-driver")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "nvidia-smi"


def _write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("nvidia_smi")
async def test_without_a_driver_there_are_none() -> None:
    assert await count_gpus() == 0


async def test_gpus_are_counted_by_their_lines(nvidia_smi: Path) -> None:
    _write(nvidia_smi, "echo 'GPU 0: one'; echo 'GPU 1: another'")
    assert await count_gpus() == 2
    _write(nvidia_smi, "echo 'no devices were found'; exit 6")
    assert await count_gpus() == 0


async def test_a_driver_that_hangs_counts_as_none_and_leaves_no_process(
    nvidia_smi: Path, tmp_path: Path
) -> None:
    _write(nvidia_smi, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    assert await count_gpus(timeout=1) == 0
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
