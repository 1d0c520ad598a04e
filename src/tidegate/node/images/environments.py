"""The Python environments of images: made by uv, once per requirements, shared by all images.

`<data-dir>/environments/<key>`, the key being a hash of the requirements and the Python version.
An environment appears complete or not at all: it is built beside its place and renamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from tidegate.node.images.errors import BrokenImageError
from tidegate.node.locks import file_lock

_STDERR_KEPT = 4000


class Environments:
    """Builds environments on demand.

    Args:
        data_dir: the platform's data directory.
        timeout: seconds that one build may take.
    """

    def __init__(self, data_dir: Path, *, timeout: float = 900.0) -> None:
        self._root = data_dir / "environments"
        self._timeout = timeout
        self._building: dict[str, asyncio.Lock] = {}

    async def ensure(self, requirements: Path | None) -> Path:
        """The environment for a requirements file (None: the bare interpreter's), as a directory.

        Raises:
            BrokenImageError: uv is missing, failed or took too long; with the end of its output.
        """
        text = "" if requirements is None else await asyncio.to_thread(_read, requirements)
        key = environment_key(text)
        target = self._root / key
        with contextlib.suppress(FileNotFoundError):
            # When it was last used is what it is removed by.
            await asyncio.to_thread(os.utime, target)
            return target
        async with self._building.setdefault(key, asyncio.Lock()), _locked(self._root, key):
            if not await asyncio.to_thread(target.is_dir):
                await self._build(target, requirements)
        return target

    async def _build(self, target: Path, requirements: Path | None) -> None:
        uv = find_uv()
        temporary = Path(tempfile.mkdtemp(dir=self._root, prefix=".building-"))
        place = temporary / "environment"
        try:
            async with asyncio.timeout(self._timeout):
                base = getattr(sys, "_base_executable", sys.executable)
                await _run(
                    self._root, uv, "venv", "--quiet", "--relocatable", "--python", base, str(place)
                )
                if requirements is not None:
                    python = str(place / "bin" / "python")
                    options = ("--quiet", "--python", python)
                    # Paths in the file are relative to it.
                    beside = requirements.parent
                    await _run(beside, uv, "pip", "install", *options, "-r", requirements.name)
            place.rename(target)
        except TimeoutError:
            raise BrokenImageError(
                f"the environment of {requirements} was not ready in {self._timeout:.0f} s"
            ) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True)


def environment_key(requirements: str) -> str:
    """The directory name of an environment: hash of requirements and Python version."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return hashlib.sha256(f"{version}\0{requirements}".encode()).hexdigest()[:32]


def find_uv() -> str:
    """The uv beside this interpreter or on PATH.

    Raises:
        BrokenImageError: there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise BrokenImageError("uv is missing; install it beside Tidegate: pip install uv")
    return found


@contextlib.asynccontextmanager
async def _locked(root: Path, key: str) -> AsyncGenerator[None]:
    stack = contextlib.ExitStack()
    await asyncio.to_thread(stack.enter_context, file_lock(root / f".{key}.lock", timeout=1800))
    with stack:
        yield


async def _run(directory: Path, *command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env={**os.environ, "UV_NO_PROGRESS": "1", "VIRTUAL_ENV": ""},
        start_new_session=True,
    )
    try:
        _, stderr = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        tail = stderr.decode(errors="replace").strip()[-_STDERR_KEPT:]
        raise BrokenImageError(f"uv {command[1]} failed ({process.returncode}): {tail}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BrokenImageError(f"the requirements cannot be read: {error}") from error
