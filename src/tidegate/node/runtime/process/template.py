"""The warm template of one image: has its modules imported and forks each container.

A program of its own, run by the image's Python with nothing but the standard library, in a session
of its own, so that it and its containers outlive the control plane. It

- imports the modules that the image names, then serves requests on a Unix socket;
- forks a container on request: Python programs run in the fork, others are exec'ed;
- copies what containers write to their log files, and to who is attached;
- reaps containers and leaves their exit status in their directories;
- ends what a container leaves behind: orphans are children of the container's first process, as in
  a container, and come to this one only when that has ended;
- kills containers that use more memory than they may.

What makes a process a container (its files, its user, its limits) is the package `sandbox` beside
this file; `program.py` runs the program in it, `container_streams.py` connects its streams.

Containers write to named pipes that they hold open for reading too: when the template dies they
are not hurt, and the next template goes on reading where this one stopped.
"""

# The paths are strings, as they come and go over the socket.
# ruff: noqa: PTH100, PTH105, PTH112, PTH118, PTH120, PTH123

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.node.runtime.process import container_streams, program, sandbox
else:
    # By their paths and under no names: the program's own modules may be called as they like.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    container_streams = importlib.import_module("container_streams")
    program = importlib.import_module("program")
    sandbox = importlib.import_module("sandbox")
    del sys.path[0]
    _ours = {"attachments", "container_logs", "container_streams", "program", "sandbox"}
    for _name in [name for name in sys.modules if name.partition(".")[0] in _ours]:
        del sys.modules[_name]

PROTOCOL = 1
LISTENER = 3
REQUEST_LIMIT = 4 << 20
READ_SIZE = 64 << 10
IDLE_SECONDS = 900.0


class Forked(BaseException):
    """Raised in a new container's process to leave the template's frames."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self.launch = launch


class Connection:
    """A control plane's connection: requests and answers are JSON, one per line."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._buffer = b""

    def requests(self) -> Iterator[dict[str, Any]]:
        """The complete requests that have arrived. Raises ConnectionError at the end."""
        data = self.link.recv(READ_SIZE)
        if not data or len(self._buffer) > REQUEST_LIMIT:
            raise ConnectionError
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            yield json.loads(line)

    def send(self, message: dict[str, Any]) -> None:
        self.link.sendall(json.dumps(message).encode() + b"\n")


class Template:
    """The server loop; `serve` returns when told to quit and raises `Forked` in containers."""

    def __init__(self, listener: socket.socket, name: str, ability: tuple[str, str]) -> None:
        self._listener = listener
        self._name = name
        self._ability = ability
        self._watches: dict[int, sandbox.MemoryWatch] = {}
        self._groups: dict[int, str] = {}
        self._overdrawn: set[int] = set()
        # Containers of a template that died: somebody else reaps them.
        self._others: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._containers: dict[int, str] = {}
        self._streams: dict[str, container_streams.ContainerStreams] = {}
        self._helpers: frozenset[int] = frozenset()
        self._retired = False
        self._quiet_since = time.monotonic()

    def serve(self) -> None:
        sandbox.adopt_orphans()
        # What the modules have started while they were imported is no container's.
        self._helpers = frozenset(sandbox.children(os.getpid()))
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, _wake_up)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: self._reap(wake_read))
        while not self._is_over():
            for key, _ in self._selector.select(timeout=self._next_look()):
                if key.fileobj in self._selector.get_map():
                    key.data()
            self._look_at_memory()

    def _next_look(self) -> float:
        if not self._watches:
            return 60.0
        return max(0.0, min(watch.due for watch in self._watches.values()) - time.monotonic())

    def _look_at_memory(self) -> None:
        now = time.monotonic()
        for pid, watch in list(self._watches.items()):
            if watch.due > now:
                continue
            if not watch.is_alive():
                self._unwatch(pid)
                self._others.pop(pid, None)
            elif watch.is_exceeded(now):
                self._unwatch(pid)
                self._overdrawn.add(pid)
                if pid in self._others:
                    self._write_exit(self._others.pop(pid), int(signal.SIGKILL), overdrawn=True)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)

    def _is_over(self) -> bool:
        busy = bool(self._containers or self._streams)
        if busy or self._connections:
            self._quiet_since = time.monotonic()
        idle = time.monotonic() - self._quiet_since > IDLE_SECONDS
        return not busy and (self._retired or idle)

    def _accept(self) -> None:
        link, _ = self._listener.accept()
        link.setblocking(True)
        link.settimeout(10.0)
        connection = Connection(link)
        self._connections.add(connection)
        self._selector.register(link, selectors.EVENT_READ, lambda: self._receive(connection))
        hello = {"protocol": PROTOCOL, "pid": os.getpid(), "ability": self._ability}
        self._answer(connection, hello)

    def _receive(self, connection: Connection) -> None:
        try:
            for request in connection.requests():
                self._answer(connection, {"id": request["id"], **self._do(request)})
                if request["op"] == "stream":
                    self._hand_over(connection, request)
        except (OSError, ValueError, KeyError):
            self._drop(connection)

    def _answer(self, connection: Connection, message: dict[str, Any]) -> None:
        try:
            connection.send(message)
        except OSError:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection in self._connections:
            self._release(connection)
            connection.link.close()

    def _release(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.link)

    def _hand_over(self, connection: Connection, request: dict[str, Any]) -> None:
        """Let a connection be one that is attached to a container from now on."""
        streams = self._streams.get(request["directory"])
        if streams is not None and connection in self._connections:
            self._release(connection)
            streams.attach(connection.link, stdin=request["stdin"])

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request["op"] == "fork":
                return self._fork(request)
            if request["op"] == "attach":
                self._attach(request["directory"])
                if request["memory"] and _start_time(request["pid"]) == request["startTime"]:
                    self._watch(request["pid"], request["memory"])
                    self._others[request["pid"]] = request["directory"]
                return {}
            if request["op"] == "retire":
                self._retired = True
                return {}
            if request["op"] == "stream":
                known = request["directory"] in self._streams
                return {} if known else {"error": "the container does not run"}
        except OSError as error:
            return {"error": str(error)}
        return {"error": f"unknown operation {request['op']!r}"}

    def _fork(self, launch: dict[str, Any]) -> dict[str, Any]:
        problem = _problem(launch)
        if problem:
            return {"error": problem}
        directory: str = launch["directory"]
        streams = self._streams_of(directory)
        ends = streams.make(stdin=launch["stdin"], once=launch["stdinOnce"], tty=launch["tty"])
        self._streams[directory] = streams
        group, problem = _control_group(launch)
        try:
            pid = os.fork()
        except OSError:
            # Streams that nobody writes to come to their end, and go.
            ends.close()
            sandbox.remove_group(group)
            raise
        if pid == 0:
            self._become_container(launch, ends)
        ends.close()
        self._containers[pid] = directory
        if group:
            self._groups[pid] = group
        memory: int | None = launch["limits"]["memory"]
        self._watch(pid, memory)
        record = {
            "pid": pid,
            "startTime": _start_time(pid),
            "startedAt": time.time(),
            "template": self._name,
            "image": launch["image"],
            "isolation": launch["isolation"],
            "memory": memory,
            "controlGroup": group,
            "cpuProblem": problem,
        }
        _write_json(os.path.join(directory, "record.json"), record)
        return record

    def _watch(self, pid: int, memory: int | None) -> None:
        if memory and pid not in self._watches:
            self._watches[pid] = sandbox.MemoryWatch(pid, memory)

    def _unwatch(self, pid: int) -> None:
        watch = self._watches.pop(pid, None)
        if watch is not None:
            watch.close()

    def _attach(self, directory: str) -> None:
        if directory not in self._streams:
            streams = self._streams_of(directory)
            streams.open()
            self._streams[directory] = streams

    def _streams_of(self, directory: str) -> container_streams.ContainerStreams:
        def over() -> None:
            self._streams.pop(directory, None)

        return container_streams.ContainerStreams(directory, self._selector, over)

    def _reap(self, wake: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(wake, READ_SIZE)
        while True:
            try:
                # The process stays a zombie until its group is gone, so that the group's
                # number cannot be another's yet.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                break
            pid = found.si_pid
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self._ended(pid, os.waitstatus_to_exitcode(status))
        self._end_orphans()

    def _end_orphans(self) -> None:
        # The children of each come here in turn, when it has ended.
        for pid in sandbox.children(os.getpid()):
            if pid not in self._containers and pid not in self._helpers:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _ended(self, pid: int, code: int) -> None:
        directory = self._containers.pop(pid, None)
        self._unwatch(pid)
        group = self._groups.pop(pid, "")
        if code == -signal.SIGKILL and sandbox.ran_out_of_memory(group):
            self._overdrawn.add(pid)
        sandbox.remove_group(group)
        if directory is None:
            return
        streams = self._streams.get(directory)
        if streams is not None:
            streams.finish()
        self._write_exit(directory, -code if code < 0 else 0, code, pid in self._overdrawn)
        self._overdrawn.discard(pid)

    def _write_exit(
        self, directory: str, number: int, code: int = 0, overdrawn: bool = False
    ) -> None:
        status = {
            "code": 128 + number if number else code,
            "signal": number,
            "at": time.time(),
            "overdrawn": overdrawn,
        }
        with contextlib.suppress(OSError):
            _write_json(os.path.join(directory, "exit.json"), status)

    def _become_container(self, launch: dict[str, Any], ends: container_streams.Ends) -> None:
        # Everything of the template is closed by its owner object first: one that were closed
        # only when collected would close a descriptor of the container's instead.
        signal.set_wakeup_fd(-1)
        os.setsid()
        sandbox.adopt_orphans()
        for connection in self._connections:
            connection.link.close()
        for streams in self._streams.values():
            streams.forget()
        self._selector.close()
        self._listener.close()
        ends.take()
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise Forked(launch)


def run_container(launch: dict[str, Any], rootfs: str) -> None:
    """Turn this freshly forked process into the container's program."""
    argv: list[str] = launch["argv"]
    environment: dict[str, str] = launch["env"]
    os.environ.clear()
    os.environ.update(environment)
    _isolate(launch)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as comm:
        comm.write(launch["title"][:15])
    program.run(argv, environment, rootfs, reads=launch["stdin"] or launch["tty"])


def _isolate(launch: dict[str, Any]) -> None:
    """Take on the container's limits and view; what fails is written down, and ends it."""
    os.umask(0o022)
    failure = os.open(os.path.join(launch["directory"], "failure"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        _adjust_oom_score(launch["limits"]["oomScore"])
        sandbox.enter(launch["isolation"])
        os.chdir(launch["cwd"])
    except OSError as error:
        os.write(failure, (error.args[-1] if error.filename is None else str(error)).encode())
        os._exit(128)
    os.close(failure)


def _adjust_oom_score(score: int | None) -> None:
    if score is None:
        return
    # Below what we have ourselves only with a right that containers seldom get.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))


def _problem(launch: dict[str, Any]) -> str:
    """Why the program cannot be started, or the empty string."""
    name: str = launch["argv"][0]
    mounts: list[dict[str, Any]] = launch["isolation"]["mounts"]
    if not os.path.isdir(launch["cwd"]) and not mounts:
        return f"the working directory {launch['cwd']} does not exist"
    if program.is_python(name) or any(name.startswith(mount["target"]) for mount in mounts):
        return ""
    path = launch["env"].get("PATH", os.defpath)
    candidate = os.path.join(launch["cwd"], name) if "/" in name else name
    if shutil.which(candidate, path=path) is None:
        return f'exec: "{name}": executable file not found in $PATH'
    return ""


def _control_group(launch: dict[str, Any]) -> tuple[str, str]:
    """The control group of a new container, and why its CPUs have none where they should."""
    cores: float | None = launch["limits"]["cpu"]
    memory: int | None = launch["limits"]["memory"]
    if not cores and not memory:
        return "", ""
    name = hashlib.sha256(launch["directory"].encode()).hexdigest()[:20]
    try:
        return sandbox.make_group(name, cores=cores, memory=memory), ""
    except OSError as error:
        # Memory is watched in any case.
        return "", str(error) if cores else ""


def _start_time(pid: int) -> int:
    """Field 22 of /proc/<pid>/stat: with the pid it names a process for as long as the machine."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def _wake_up(number: int, frame: types.FrameType | None) -> None:
    """The wake-up descriptor does the work; without a handler it would not be written to."""


def _write_json(path: str, content: dict[str, Any]) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(f"{path}.new", path)


def main() -> None:
    """Entry: one argument, the configuration as JSON."""
    config: dict[str, Any] = json.loads(sys.argv[1])
    rootfs: str = config["rootfs"]
    os.chdir(rootfs)
    sys.path.insert(0, rootfs)
    for name in config["preload"]:
        importlib.import_module(name)
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()
    listener = socket.socket(fileno=LISTENER)
    template = Template(listener, config["name"], sandbox.abilities(rootfs))
    try:
        template.serve()
        return
    except Forked as fork:
        launch = fork.launch
    del template, listener
    run_container(launch, rootfs)


if __name__ == "__main__":
    main()
