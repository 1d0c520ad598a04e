"""Pods of a platform that does not run as root: what holds, and what is said not to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
USER = 4711
# Becomes another user for good and then runs a program: as a login of that user would.
BECOME = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import sandbox
sandbox.enter(json.loads(sys.argv[2]))
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


@pytest.fixture
def report(tmp_path: Path) -> Any:
    """What a platform of user 4711 says of a pod."""
    place = tmp_path / "place"
    (tmp_path / "scratch").mkdir()
    place.mkdir()
    os.chown(place, USER, USER)
    request = {
        "ability": "full",
        "scratch": str(tmp_path / "scratch"),
        "mounts": [],
        "keep": [str(REPOSITORY), sys.base_prefix, str(place)],
        "user": USER,
        "group": USER,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-c", BECOME),
            str(REPOSITORY / "src/tidegate/node/runtime/process"),
            json.dumps(request),
            *("-m", "tests.node.unprivileged", str(place)),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "HOME": str(place), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_mounts_and_one_user_hold_and_the_rest_is_named(report: Any) -> None:
    assert (report["platform"], report["code"], report["failure"]) == (USER, 0, "")
    assert report["saw"] == {
        "ids": [1234, 1235],
        "hostname": "inner",
        "conf": "alpha",
        "read-only": "Read-only file system",
        "volume": "written",
        "log": "written",
        "null": "written",
        "rights": ["0000000000000000"],
    }
    named = "\n".join(report["not enforced"])
    assert "supplementalGroups and fsGroup: Tidegate does not run as root" in named
    assert "limits.cpu" in named
    assert not Path("/unprivileged").exists()
