"""The template's own program, in this process."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tidegate.node.runtime.process.template import Template


@pytest.mark.parametrize("tty", [False, True])
def test_a_fork_that_fails_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tty: bool
) -> None:
    def fail() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    request: dict[str, Any] = {
        "op": "fork",
        "argv": ["true"],
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": str(tmp_path),
        "directory": str(tmp_path),
        "isolation": {"mounts": []},
        "limits": {"cpu": None, "memory": None},
        "stdin": False,
        "stdinOnce": False,
        "tty": tty,
    }
    with socket.socket() as listener:
        template = Template(listener, "one", ("", ""))
        before = _open_files()
        monkeypatch.setattr(os, "fork", fail)
        assert "no more processes" in template._do(request)["error"]
        for key, _ in template._selector.select(timeout=0):
            key.data()
        assert _open_files() == before
        assert not template._streams
        template._selector.close()


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
