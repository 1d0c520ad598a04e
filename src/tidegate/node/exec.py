"""Commands in the containers of this node's pods, for `kubectl exec`, and the streams of the
containers themselves, for `kubectl attach`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tidegate.kube.errors import BadRequest, NotFound
from tidegate.kube.informer import Informer
from tidegate.kube.objects import uid_of
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.runtime.commands import Attached, Command, CommandRuntime, Invocation


class CommandSource:
    """Runs commands.

    Args:
        data_dir: the platform's data directory.
        pods: the informer of all pods.
        runtime: what runs the containers.
    """

    def __init__(self, data_dir: Path, pods: Informer, runtime: CommandRuntime) -> None:
        self._data_dir = data_dir
        self._pods = pods
        self._runtime = runtime

    @asynccontextmanager
    async def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool,
        tty: bool,
    ) -> AsyncGenerator[Command]:
        """Run a command as the container's own program is run, as long as the context is open.

        Raises:
            NotFound: there is no such pod.
            BadRequest: the container does not run.
            InternalError: the command cannot be started.
        """
        directory, started = await self._last_start(namespace, pod, container)
        invocation = Invocation(
            directory=directory,
            argv=tuple(command),
            env=started["env"],
            working_dir=Path(started["working_dir"]),
            stdin=stdin,
            tty=tty,
        )
        async with self._runtime.command(invocation) as running:
            yield running

    @asynccontextmanager
    async def attach(
        self, namespace: str, pod: str, container: str, *, stdin: bool
    ) -> AsyncGenerator[Attached]:
        """Take part in the streams of the container's own program, as long as the context is open.

        Raises:
            NotFound: there is no such pod.
            BadRequest: the container does not run.
        """
        directory, _ = await self._last_start(namespace, pod, container)
        async with self._runtime.attach(directory, stdin=stdin) as streams:
            yield streams

    async def _last_start(
        self, namespace: str, pod: str, container: str
    ) -> tuple[Path, dict[str, Any]]:
        obj = self._pods.get(pod, namespace)
        if obj is None:
            raise NotFound(f'pods "{pod}" not found', resource="pods", name=pod)
        place = PodDirectory(self._data_dir, uid_of(obj))
        try:
            return await asyncio.to_thread(_last_start, place, container)
        except (OSError, ValueError, LookupError) as error:
            raise BadRequest(f'container "{container}" of pod "{pod}" does not run') from error


def _last_start(place: PodDirectory, container: str) -> tuple[Path, dict[str, Any]]:
    directory = place.attempt(container, place.attempts(container)[-1])
    return directory, json.loads((directory / "launch.json").read_bytes())
