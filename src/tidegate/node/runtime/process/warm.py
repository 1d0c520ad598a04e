"""The control plane's end of a warm template: started when there is none, found when there is.

A template is named after its image's digest and the template program itself, so that a newer
Tidegate never talks to an older one's template.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tidegate.kube.errors import BadRequest, InternalFault
from tidegate.node.images.errors import BrokenImageError
from tidegate.node.images.store import Image
from tidegate.node.runtime.contract import StartError
from tidegate.node.runtime.process import template
from tidegate.node.runtime.process.attaching import AttachedStreams
from tidegate.node.runtime.process.processes import process_name

_ANSWER_LIMIT = 1 << 20
_ANSWER_SECONDS = 20.0
_OUTPUT_KEPT = 2000
_SCRIPT = Path(template.__file__)
_PARTS = [
    _SCRIPT.with_name(f"{name}.py")
    for name in ("attachments", "container_logs", "container_streams", "program")
]
_SCRIPT_HASH = hashlib.sha256(_SCRIPT.read_bytes())
for _part in [*_PARTS, *sorted(_SCRIPT.with_name("sandbox").glob("*.py"))]:
    _SCRIPT_HASH.update(_part.read_bytes())


class TemplateLostError(InternalFault):
    """The template died or does not answer; start another."""


def template_name(digest: str, environment: Path) -> str:
    """The name of the socket of an image's template."""
    made_of = _SCRIPT_HASH.copy()
    made_of.update(environment.name.encode())
    return f"{digest[:24]}-{made_of.hexdigest()[:8]}"


class WarmTemplate:
    """A connection to a running template.

    Attributes:
        name: of its socket.
        pid: of its process.
        ability: what it can isolate containers with, as the sandbox names it.
        reason: why it is not more.
    """

    def __init__(
        self,
        name: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        hello: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.pid = int(hello["pid"])
        self.ability, self.reason = (str(word) for word in hello["ability"])
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sequence = 0
        self._lost = asyncio.Event()
        self._listener = asyncio.ensure_future(self._listen())

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    async def wait_lost(self) -> None:
        """Wait until the connection has ended."""
        await self._lost.wait()

    async def request(self, operation: str, fields: Mapping[str, Any] | None = None) -> Any:
        """Ask and wait for the answer.

        Raises:
            StartError: the template refused, with its reason.
            TemplateLostError: no answer.
        """
        if self.is_lost:
            raise TemplateLostError(f"template {self.name} is gone")
        self._sequence += 1
        number = self._sequence
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = json.dumps({"op": operation, "id": number, **(fields or {})})
        try:
            self._writer.write(message.encode() + b"\n")
            async with asyncio.timeout(_ANSWER_SECONDS):
                result = await answer
        except TimeoutError as error:
            # It must not come round later and start what will have been started elsewhere.
            _kill(self.pid)
            raise TemplateLostError(f"template {self.name} does not answer") from error
        except OSError as error:
            raise TemplateLostError(f"template {self.name} does not answer: {error}") from error
        finally:
            self._answers.pop(number, None)
        if "error" in result:
            raise StartError(result["error"])
        return result

    async def close(self) -> None:
        """Leave the template; it stays."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._writer.close()
        bury(self.pid)

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message: dict[str, Any] = json.loads(line)
                answer = self._answers.get(message["id"])
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except (OSError, ValueError, KeyError):
            pass
        finally:
            self._lost.set()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(TemplateLostError(f"template {self.name} died"))


class Templates:
    """Starts and finds templates in the directory of their sockets."""

    def __init__(self, run_dir: Path, *, start_timeout: float) -> None:
        self._run_dir = run_dir
        self._start_timeout = start_timeout

    async def connect(self, name: str) -> WarmTemplate | None:
        """The running template of that name, or None."""
        try:
            reader, writer = await self._open(name)
        except OSError:
            return None
        try:
            async with asyncio.timeout(self._start_timeout):
                hello = json.loads(await reader.readline())
            return WarmTemplate(name, reader, writer, hello)
        except (OSError, ValueError, KeyError, TimeoutError):
            writer.close()
            return None
        except asyncio.CancelledError:
            writer.close()
            raise

    @asynccontextmanager
    async def attached(
        self, name: str, directory: Path, *, stdin: bool
    ) -> AsyncGenerator[AttachedStreams]:
        """Be attached to a container of a template, by a connection of its own.

        Raises:
            BadRequest: the template does not know it, or is not there.
        """
        reader = writer = None
        try:
            reader, writer = await self._open(name)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await reader.readline()
                request = {"op": "stream", "id": 0, "directory": str(directory), "stdin": stdin}
                writer.write(json.dumps(request).encode() + b"\n")
                answer = json.loads(await reader.readline())
            if "error" in answer:
                raise BadRequest(answer["error"])
            yield AttachedStreams(reader, writer)
        except (OSError, ValueError) as error:
            raise BadRequest(f"nothing can be attached to the container: {error}") from error
        finally:
            if writer is not None:
                writer.close()

    async def start(self, name: str, image: Image) -> WarmTemplate:
        """Start the template of `image` and wait until its modules are imported.

        Raises:
            BrokenImageError: it did not come up; with the end of what it wrote.
        """
        try:
            pid = await asyncio.to_thread(self._spawn, name, image)
        except OSError as error:
            raise BrokenImageError(
                f"the template of image {image.name} cannot be started: {error}"
            ) from error
        connecting = asyncio.ensure_future(self.connect(name))
        dying = asyncio.ensure_future(process_name(pid).wait_dead())
        try:
            await asyncio.wait({connecting, dying}, return_when=asyncio.FIRST_COMPLETED)
            warm = connecting.result() if connecting.done() else None
        finally:
            for task in (connecting, dying):
                task.cancel()
            await asyncio.gather(connecting, dying, return_exceptions=True)
        if warm is None:
            _kill(pid)
            raise BrokenImageError(
                f"the modules of image {image.name} could not be preloaded:"
                f" {self._output(name) or 'no answer in time'}"
            )
        return warm

    def _spawn(self, name: str, image: Image) -> int:
        self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = {
            "name": name,
            "rootfs": str(image.rootfs),
            "preload": list(image.manifest.preload),
        }
        arguments = ["-s", "-P", "-X", "utf8", str(_SCRIPT), json.dumps(config)]
        with self._directory() as directory, socket.socket(socket.AF_UNIX) as listener:
            path = f"{directory}/{name}.sock"
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
            listener.bind(path)
            listener.listen(16)
            output = str(self._run_dir / f"{name}.log")
            # Not a subprocess.Popen: that one wants to be waited for, and this process stays.
            return os.posix_spawn(
                image.python,
                [str(image.python), *arguments],
                _environment(image),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    (os.POSIX_SPAWN_DUP2, listener.fileno(), template.LISTENER),
                ],
                setsid=True,
            )

    async def _open(self, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.setblocking(False)
            with self._directory() as directory:
                await asyncio.get_running_loop().sock_connect(link, f"{directory}/{name}.sock")
            return await asyncio.open_unix_connection(sock=link, limit=_ANSWER_LIMIT)
        except BaseException:
            link.close()
            raise

    @contextlib.contextmanager
    def _directory(self) -> Generator[str]:
        # A Unix socket's path has some hundred characters at most; through the descriptor of
        # its directory it is short however deep the data directory is.
        handle = os.open(self._run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)

    def _output(self, name: str) -> str:
        try:
            text = (self._run_dir / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return text.strip()[-_OUTPUT_KEPT:]


def _environment(image: Image) -> dict[str, str]:
    # What the image asks for holds while its modules are imported too (thread counts and such).
    search = f"{image.environment / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": search, "LANG": "C.UTF-8", **image.manifest.env}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    bury(pid)


def bury(pid: int) -> None:
    """Collect the exit of a template that may have been this process's child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
