"""The process runtime: one warm template per image, one process group per container.

What it must know after a restart stands in each container's directory: `record.json` (which
process), `exit.json` (how it ended), both written by the template.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tidegate.kube.clock import Clock
from tidegate.kube.errors import BadRequest, TidegateError
from tidegate.node.images import manifest
from tidegate.node.images.errors import ImageError
from tidegate.node.images.store import Image
from tidegate.node.runtime.commands import Attached, Command, Invocation
from tidegate.node.runtime.contract import Exit, Launch
from tidegate.node.runtime.process import sandbox
from tidegate.node.runtime.process.exec import EXEC_CHILD, run_command
from tidegate.node.runtime.process.isolating import isolation_request, not_enforced
from tidegate.node.runtime.process.processes import ProcessName, View
from tidegate.node.runtime.process.warm import (
    TemplateLostError,
    Templates,
    WarmTemplate,
    template_name,
)

logger = logging.getLogger(__name__)

# How long after a container's end its template may take to write down the exit status.
_STATUS_WAIT_SECONDS = 1.0
_STATUS_POLL_SECONDS = 0.005
_RESTORE_PAUSE_SECONDS = 1.0

# More wait to be started.
_UNLIMITED_AT_ONCE = 1000

# Coming up is for the API and the pods first.
_WARM_AGAIN_SECONDS = 3.0


class ProcessContainer:
    """A process group, known by the record in its directory."""

    def __init__(self, directory: Path, record: dict[str, Any]) -> None:
        self.directory = directory
        self.template = str(record["template"])
        self.started_at = float(record["startedAt"])
        self.process = ProcessName(int(record["pid"]), int(record["startTime"]))
        self.not_enforced: tuple[str, ...] = ()
        # A container that an earlier version started is not isolated.
        self._isolation: dict[str, Any] = record.get("isolation") or {"ability": ""}
        self._memory: int | None = record.get("memory")
        self._group = str(record.get("controlGroup") or "")
        self.container_id = f"process://{self.process.pid}-{self.process.start_time}"
        self._exit: Exit | None = None
        self._view: View | None = None

    @property
    def is_running(self) -> bool:
        return self.process.is_alive()

    async def wait(self) -> Exit:
        """Wait for the end and how it came."""
        if self._exit is None:
            await self.process.wait_dead()
            found = await self._read_exit()
            self.process.kill_rest()
            view, self._view = self._view, None
            if view is not None:
                await asyncio.to_thread(view.end)
            sandbox.remove_group(self._group)
            self._exit = self._exit or found
        return self._exit

    def end_with_view(self) -> None:
        """Let all that see its files end with it: it has, or may have, processes that its template
        will not find."""
        if self._view is None and self.is_running:
            self._view = View.of(self.process.pid)

    def command_prefix(self, working_dir: Path) -> tuple[str, ...]:
        """The program that joins the container and becomes the command."""
        joining = {
            "pid": self.process.pid,
            "isolation": self._isolation,
            "cwd": str(working_dir),
        }
        return (sys.executable, "-I", "-S", str(EXEC_CHILD), json.dumps(joining))

    @property
    def has_group(self) -> bool:
        return self._group != ""

    def join_group(self) -> None:
        """Put all its processes under its limits; blocks."""
        try:
            sandbox.fill_group(self._group, self.process.pid)
        except OSError as error:
            if self.is_running:
                logger.warning("%s runs without its control group: %s", self.container_id, error)

    def reattachment(self) -> dict[str, Any]:
        """What a new template must know to go on with what a dead one did for the container."""
        return {
            "directory": str(self.directory),
            "pid": self.process.pid,
            "startTime": self.process.start_time,
            "memory": self._memory,
        }

    def signal(self, number: int) -> None:
        """Signal the group."""
        self.process.signal_group(number)

    async def _read_exit(self) -> Exit:
        path = self.directory / "exit.json"
        deadline = time.monotonic() + _STATUS_WAIT_SECONDS
        # Machine time on purpose: this waits for another process, not for a moment.
        while not path.exists() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_STATUS_POLL_SECONDS)
        try:
            status = json.loads(path.read_text(encoding="utf-8"))
            return Exit(
                int(status["code"]),
                int(status["signal"]),
                float(status["at"]),
                out_of_memory=bool(status.get("overdrawn")),
                failure=self._failure(),
            )
        except (OSError, ValueError, KeyError):
            if sandbox.ran_out_of_memory(self._group):
                return Exit(137, signal.SIGKILL, time.time(), out_of_memory=True)
            return Exit(137, 0, time.time(), known=False)

    def _failure(self) -> str:
        try:
            return (self.directory / "failure").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


class ProcessRuntime:
    """Runs containers as processes.

    Args:
        data_dir: the platform's data directory.
        clock: for the pause before a failed template is started again.
        keep: templates without containers that stay warm, the longest unused go first.
        start_timeout: seconds a template may take to import its modules.
    """

    def __init__(
        self, data_dir: Path, *, clock: Clock, keep: int = 8, start_timeout: float = 120.0
    ) -> None:
        self._run_dir = data_dir / "run"
        self._clock = clock
        self._keep = keep
        self._templates = Templates(self._run_dir, start_timeout=start_timeout)
        self._warm: OrderedDict[str, WarmTemplate] = OrderedDict()
        self._images: dict[str, Image] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._running: dict[Path, ProcessContainer] = {}
        self._unlimited: asyncio.Queue[ProcessContainer] = asyncio.Queue(_UNLIMITED_AT_ONCE)
        self._changed = asyncio.Event()
        self._closing = False
        self._ability = ""

    @property
    def mounts(self) -> bool:
        """Whether templates can give containers a view of their own."""
        return self._ability != ""

    async def prepare(self, image: Image) -> None:
        """Have the template of `image` running."""
        await self._template(image)

    async def start(self, launch: Launch) -> ProcessContainer:
        """Fork a container; a template found dead is replaced once."""
        await asyncio.to_thread(_make_directory, launch.directory)
        request = {
            "directory": str(launch.directory),
            "argv": list(launch.argv),
            "env": dict(launch.env),
            "cwd": str(launch.working_dir),
            "title": launch.title,
            "image": _image_record(launch.image),
            "stdin": launch.terminal.stdin,
            "stdinOnce": launch.terminal.once,
            "tty": launch.terminal.tty,
            "limits": {
                "memory": launch.limits.memory,
                "cpu": launch.limits.cpu,
                "oomScore": launch.limits.oom_score,
            },
        }
        try:
            warm = await self._template(launch.image)
            record = await warm.request("fork", request | _isolation(launch, warm))
        except TemplateLostError as error:
            if (launch.directory / "record.json").exists():
                raise
            logger.warning("%s; starting another", error)
            await asyncio.to_thread(_clear_pipes, launch.directory)
            warm = await self._template(launch.image)
            record = await warm.request("fork", request | _isolation(launch, warm))
        container = ProcessContainer(launch.directory, record)
        container.not_enforced = not_enforced(
            launch, ability=warm.ability, reason=warm.reason, cpu_problem=record["cpuProblem"]
        )
        await self._limit_soon(container)
        return self._track(container)

    async def _limit_soon(self, container: ProcessContainer) -> None:
        if container.has_group:
            await self._unlimited.put(container)

    def command(self, invocation: Invocation) -> AbstractAsyncContextManager[Command]:
        """Run a command beside a container's processes. Raises as `CommandRuntime.command`."""
        container = self._running.get(invocation.directory)
        if container is None or not container.is_running:
            raise BadRequest("the container does not run")
        container.end_with_view()
        prefix = container.command_prefix(invocation.working_dir)
        return run_command(invocation, container.process, prefix)

    def attach(self, directory: Path, *, stdin: bool) -> AbstractAsyncContextManager[Attached]:
        """Take part in a container's streams. Raises as `CommandRuntime.attach`."""
        container = self._running.get(directory)
        if container is None or not container.is_running:
            raise BadRequest("the container does not run")
        return self._templates.attached(container.template, directory, stdin=stdin)

    async def adopt(self, directory: Path) -> ProcessContainer | None:
        """Find the container again by its record."""
        path = directory / "record.json"
        try:
            record = json.loads(await asyncio.to_thread(path.read_text, encoding="utf-8"))
            container = ProcessContainer(directory, record)
        except (OSError, ValueError, KeyError):
            return None
        if container.process.is_alive():
            self._remember_image(record)
            await self._limit_soon(container)
        self._track(container)
        self._changed.set()
        return container

    def _remember_image(self, record: dict[str, Any]) -> None:
        with contextlib.suppress(ImageError):
            self._images.setdefault(record["template"], _read_image(record["image"]))

    async def run(self) -> None:
        """Replace templates that die under running containers; retire those nobody uses."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._warm_again())
            group.create_task(self._tend_always())
            group.create_task(self._fill_groups())

    async def _fill_groups(self) -> None:
        """Put containers under their limits, after their start, which need not wait for it."""
        while True:
            container = await self._unlimited.get()
            await asyncio.to_thread(container.join_group)

    async def _tend_always(self) -> None:
        try:
            while True:
                self._changed.clear()
                await self._tend()
                watched: list[asyncio.Future[Any]] = [
                    asyncio.ensure_future(warm.wait_lost()) for warm in self._warm.values()
                ]
                watched.append(asyncio.ensure_future(self._changed.wait()))
                try:
                    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in watched:
                        task.cancel()
        finally:
            for warm in self._warm.values():
                await warm.close()
            self._warm.clear()

    async def shutdown(self) -> None:
        """End every template, also those that an earlier control plane started."""
        self._closing = True
        for lock in list(self._locks.values()):
            async with lock:
                pass
        for path in list(self._run_dir.glob("*.sock")):
            warm = self._warm.pop(path.stem, None) or await self._templates.connect(path.stem)
            if warm is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(warm.pid, signal.SIGTERM)
                await warm.close()
            path.unlink(missing_ok=True)

    async def _warm_again(self) -> None:
        """Have the templates of the images used last, when the platform has come up."""
        await self._clock.sleep(_WARM_AGAIN_SECONDS)
        for path in (await asyncio.to_thread(self._used_last))[: self._keep]:
            with contextlib.suppress(TidegateError, OSError, ValueError, KeyError):
                image = _read_image(json.loads(path.read_text(encoding="utf-8")))
                if path.name == f"{template_name(image.digest, image.environment)}.image":
                    await self._template(image)

    def _used_last(self) -> list[Path]:
        paths = [(path.stat().st_mtime, path) for path in self._run_dir.glob("*.image")]
        return [path for _, path in sorted(paths, reverse=True)]

    def _note_use(self, name: str, image: Image) -> None:
        path = self._run_dir / f"{name}.image"
        path.write_text(json.dumps(_image_record(image)), encoding="utf-8")

    async def _template(self, image: Image) -> WarmTemplate:
        name = template_name(image.digest, image.environment)
        if name in self._images:
            return await self._running_template(name)
        self._images[name] = image
        warm = await self._running_template(name)
        await asyncio.to_thread(self._note_use, name, image)
        return warm

    async def _running_template(self, name: str) -> WarmTemplate:
        if self._closing:
            raise TemplateLostError(f"template {name} is not started: the node is shutting down")
        async with self._locks.setdefault(name, asyncio.Lock()):
            warm = self._warm.get(name)
            if warm is None or warm.is_lost:
                warm = await self._templates.connect(name)
                if warm is None:
                    warm = await self._templates.start(name, self._images[name])
                await self._reattach(warm)
                self._warm[name] = warm
            self._ability = warm.ability
            self._warm.move_to_end(name)
        self._changed.set()
        return warm

    async def _reattach(self, warm: WarmTemplate) -> None:
        """Have the template read on where a dead one stopped; a living one refuses no harm."""
        for container in list(self._running.values()):
            if container.template == warm.name and container.process.is_alive():
                container.end_with_view()
                with contextlib.suppress(TidegateError):
                    await warm.request("attach", container.reattachment())

    async def _tend(self) -> None:
        for name, warm in list(self._warm.items()):
            if warm.is_lost:
                del self._warm[name]
                await warm.close()
        for directory, container in list(self._running.items()):
            if not container.process.is_alive():
                del self._running[directory]
            elif container.template not in self._warm:
                await self._restore(container.template)
        await self._retire_idle()

    async def _restore(self, name: str) -> None:
        try:
            if name in self._images:
                await self._running_template(name)
                return
            warm = await self._templates.connect(name)
            if warm is not None:
                self._warm[name] = warm
        except TidegateError as error:
            logger.warning("template %s cannot be started again: %s", name, error)
            await self._clock.sleep(_RESTORE_PAUSE_SECONDS)
            self._changed.set()

    async def _retire_idle(self) -> None:
        used = {container.template for container in self._running.values()}
        idle = [name for name in self._warm if name not in used]
        for name in idle[: max(0, len(idle) - self._keep)]:
            warm = self._warm.pop(name)
            try:
                with contextlib.suppress(TidegateError):
                    await warm.request("retire")
            finally:
                await warm.close()

    def _track(self, container: ProcessContainer) -> ProcessContainer:
        self._running[container.directory] = container
        return container


def _isolation(launch: Launch, warm: WarmTemplate) -> dict[str, Any]:
    request = isolation_request(launch.isolation, warm.ability, launch.directory)
    return {"isolation": request}


def _image_record(image: Image) -> dict[str, str]:
    return {
        "digest": image.digest,
        "rootfs": str(image.rootfs),
        "environment": str(image.environment),
    }


def _read_image(record: dict[str, str]) -> Image:
    """The image of a record. Raises BrokenImageError when its files are gone."""
    rootfs = Path(record["rootfs"])
    loaded = manifest.load(rootfs)
    return Image(loaded.name, record["digest"], rootfs, Path(record["environment"]), loaded)


def _make_directory(directory: Path) -> None:
    (directory / "scratch").mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    _clear_pipes(directory)


def _clear_pipes(directory: Path) -> None:
    for name in ("stdin", "stdout", "stderr"):
        (directory / name).unlink(missing_ok=True)
