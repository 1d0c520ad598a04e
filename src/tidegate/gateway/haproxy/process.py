"""HAProxy's process: started apart from ours, found again after we died, never lost sight of."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import signal
import socket
import subprocess
from pathlib import Path

from tidegate.gateway.haproxy import binary
from tidegate.gateway.haproxy import config as configuration
from tidegate.gateway.haproxy.config import Config
from tidegate.gateway.haproxy.paths import Paths, ProcessFiles
from tidegate.gateway.haproxy.socket import AdminError, AdminSocket
from tidegate.gateway.haproxy.state import parse_info
from tidegate.kube.errors import InternalFault, UserError
from tidegate.kube.waiting import first_of

logger = logging.getLogger(__name__)

_START_SECONDS = 20.0
_GRACE_SECONDS = 5.0


class Process:
    """The one HAProxy of a data directory.

    It is a daemon in its own session: it outlives us, and a process descriptor tells us when it
    ends, whether we started it or found it.

    Args:
        config: what it is started with.
        paths: where its files are.
        files: what it is known by, if not the one that clients reach.
    """

    def __init__(self, config: Config, paths: Paths, files: ProcessFiles | None = None) -> None:
        self._config = config
        self._paths = paths
        self._files = files or paths.current
        self._pid = 0
        self._descriptor = -1

    @property
    def pid(self) -> int:
        """Of the running HAProxy, 0 when there is none."""
        return self._pid

    async def adopt(self, admin: AdminSocket) -> bool:
        """Take over a running HAProxy that has this very configuration; end one that has not."""
        pid = _read_pid(self._files.pid)
        if not pid or not self._follow(pid):
            return False
        try:
            info = parse_info(await admin.read("show info"))
        except AdminError:
            info = {}
        if info.get("Pid") != str(pid):
            self._forget()
            return False
        if info.get("description") == self._config.identity:
            logger.info("gateway: HAProxy %d goes on", pid)
            return True
        logger.info("gateway: HAProxy %d has another configuration and is replaced", pid)
        await self.stop()
        return False

    async def find_and_stop(self, admin: AdminSocket, at_once: asyncio.Event | None) -> None:
        """End the HAProxy of this data directory, whoever started it, as `stop` does."""
        if self._descriptor < 0:
            pid = _read_pid(self._files.pid)
            if not pid or not self._follow(pid):
                return
            try:
                info = parse_info(await admin.read("show info"))
            except AdminError:
                info = {}
            if info.get("Pid") != str(pid):
                # The number has gone to some other program since.
                self._forget()
                return
        await self.stop(at_once)

    def set_aside(self) -> None:
        """Make room for the files of a successor; any number may be leaving already."""
        self._move(self._paths.leaving(self._pid))

    def take_back(self) -> None:
        """Undo `set_aside`: there is no successor."""
        self._move(self._paths.current)

    def _move(self, to: ProcessFiles) -> None:
        # Whenever we die, the configuration is in one of the places, with the number beside it.
        configuration.write_private(to.pid.parent, to.pid.name, f"{self._pid}\n")
        os.replace(self._files.config, to.config)  # noqa: PTH105
        self._files.pid.unlink(missing_ok=True)
        self._files = to

    async def start(self, *, heir_of: Path | None = None) -> None:
        """Start a fresh HAProxy.

        Args:
            heir_of: the admin socket of one whose listening sockets it takes over.

        Raises:
            UserError: the port is taken, or HAProxy refuses to start.
        """
        options = (self._config.port_option, "--https-port")
        for port, option in zip(self._config.ports, options, strict=False) if not heir_of else ():
            await asyncio.to_thread(_check_port, self._config.bind, port, option)
        program = await asyncio.to_thread(binary.find)
        await asyncio.to_thread(configuration.write, self._config, self._paths)
        self._files.pid.unlink(missing_ok=True)
        await asyncio.to_thread(self._launch, program, heir_of)
        pid = _read_pid(self._files.pid)
        if not pid or not self._follow(pid):
            raise InternalFault("HAProxy ended as soon as it had started")

    def _launch(self, program: Path, heir_of: Path | None) -> None:
        command = [program, "-D", "-f", self._files.config, "-p", self._files.pid]
        command += ["-x", heir_of] if heir_of is not None else []
        try:
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_START_SECONDS,
                cwd="/",
            )
        except subprocess.CalledProcessError as error:
            alerts = [line for line in error.stderr.splitlines() if "[ALERT]" in line]
            raise UserError(
                f"HAProxy does not start: {' '.join(alerts) or error.stderr}"
            ) from error

    def _follow(self, pid: int) -> bool:
        self._forget()
        descriptor = _open(pid)
        if descriptor < 0:
            return False
        self._pid, self._descriptor = pid, descriptor
        return True

    def _forget(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._pid, self._descriptor = 0, -1

    async def wait_ended(self) -> None:
        """Return when the process has ended."""
        if self._descriptor < 0:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)

    @property
    def is_left_behind(self) -> bool:
        """Whether its files speak of a process that there is not."""
        descriptor = _open(_read_pid(self._files.pid))
        if descriptor < 0:
            return True
        os.close(descriptor)
        return False

    @property
    def has_ended(self) -> bool:
        """Whether there is no such process any more."""
        return self._descriptor < 0 or _has_ended(self._descriptor)

    def quit(self) -> None:
        """Let it end by itself when its last connection is closed."""
        if not self.has_ended:
            signal.pidfd_send_signal(self._descriptor, signal.SIGUSR1)
        self.discard()

    def discard(self) -> None:
        """Let go of it, and remove what it is known by."""
        self.release()
        for path in (self._files.pid, self._config.admin_socket, self._files.config):
            path.unlink(missing_ok=True)

    async def stop(self, at_once: asyncio.Event | None = None) -> None:
        """End it: what is in flight gets a few seconds, then nothing is left of it.

        Args:
            at_once: when it is set, what is in flight gets no more time.
        """
        never = asyncio.Event()
        for number, cut in (
            (signal.SIGUSR1, at_once or never),
            (signal.SIGTERM, never),
            (signal.SIGKILL, never),
        ):
            if self._descriptor < 0 or _has_ended(self._descriptor):
                break
            signal.pidfd_send_signal(self._descriptor, number)
            await first_of(self.wait_ended(), asyncio.sleep(_GRACE_SECONDS), cut.wait())
        self.release()
        self._files.pid.unlink(missing_ok=True)

    def release(self) -> None:
        """Let go of the process without ending it."""
        self._forget()


def _check_port(bind: str, port: int, option: str) -> None:
    """HAProxy would say it too, but in its own words.

    Raises:
        UserError: nobody can listen there now.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            remedy = f"choose another with {option}"
            if error.errno == errno.EADDRINUSE:
                remedy += ", or stop what uses it"
            raise UserError(
                f"cannot listen on {bind}:{port} for the gateway: {error.strerror}; {remedy}"
            ) from error


def _read_pid(path: Path) -> int:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _open(pid: int) -> int:
    """A descriptor of the process, below 0 if there is none or it has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError):
        return -1
    if _has_ended(descriptor):
        os.close(descriptor)
        return -1
    return descriptor


def _has_ended(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
