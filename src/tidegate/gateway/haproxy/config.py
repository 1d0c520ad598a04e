"""HAProxy's configuration: everything that stands still while it runs.

Services come and go through the admin socket; what is written here is a pool of empty backends
for them ("slots"), a pool of second stages for single pods, the park, and the rules.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from tidegate.gateway.haproxy.paths import Paths
from tidegate.gateway.model import USUAL_START_MS
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.errors import UserError

_FEWEST_CLIENTS = 64
_MOST_CLIENTS = 50_000
_SPARE_FILES = 200
# A request passes four frontends at most: clients', the one for what is watched, the park's, the
# pods'.
_STAGES = 4
# How long a request stays bound to a pod that is busy for somebody who has left.
_STAGE_QUEUE_MS = 25

_PROGRAMS = ("park.lua", "rules.lua", "watchdog.lua", "overdue.lua", "stage.lua")

_UNAVAILABLE = "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\nCache-Control: no-cache\r\n\r\n"


@dataclass(frozen=True)
class Limits:
    """What the machine allows.

    Attributes:
        clients: connections of clients at once.
        connections: connections in all frontends at once.
        threads: HAProxy's threads.
    """

    clients: int
    connections: int
    threads: int

    @property
    def crowded(self) -> int:
        """Connections of clients above which none is kept for a next request."""
        return self.clients * 4 // 5


@dataclass(frozen=True)
class Config:
    """A configuration ready to be run.

    Attributes:
        text: the file.
        identity: names this configuration; a running HAProxy shows it in `show info`.
        prefix: of the names of the sockets between the stages.
        admin_socket: where a HAProxy with this configuration takes commands.
        programs: the texts of the Lua programs by the names of their files.
        limited, unlimited, stages: the pools.
        bind, ports: where clients connect.
        port_option: what the operator changes the first of them with.
    """

    text: str
    identity: str
    prefix: str
    admin_socket: Path
    programs: Mapping[str, str]
    limited: tuple[str, ...]
    unlimited: tuple[str, ...]
    stages: tuple[str, ...]
    bind: str
    ports: tuple[int, ...]
    port_option: str = ""

    @property
    def can_hand_over(self) -> bool:
        """Whether a HAProxy with this configuration can leave its place to another."""
        return "\nbackend onward " in self.text


def limits(settings: GatewaySettings, *, open_files: int | None = None) -> Limits:
    """Divide the open files the process may have.

    Every connection in a frontend costs two: its own and the one that goes on from it.

    Raises:
        UserError: too few for the pools of the settings.
    """
    if open_files is None:
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if open_files == resource.RLIM_INFINITY:
        open_files = 1 << 20
    listeners = settings.limited_slots + settings.unlimited_slots + settings.stages
    # Pods need cores too, and a thread that has lost its core makes the others wait for its locks.
    threads = settings.threads or max(len(os.sched_getaffinity(0)) // 2, 1)
    spare = listeners + _SPARE_FILES + 16 * threads
    clients = min((open_files - spare) // (2 * _STAGES), _MOST_CLIENTS)
    if clients < _FEWEST_CLIENTS:
        raise UserError(
            f"the limit of open files is {open_files}, and the gateway needs at least "
            f"{spare + 2 * _STAGES * _FEWEST_CLIENTS}: raise it (ulimit -Hn) or let the gateway "
            "hold fewer revisions (--max-revisions)"
        )
    return Limits(clients=clients, connections=clients * _STAGES, threads=threads)


def choose(settings: GatewaySettings, paths: Paths) -> Config:
    """The configuration for these settings, with names that no other HAProxy here has.

    One that runs with equal settings is meant to be adopted, and has its names; one that is leaving
    keeps its own, though it may have had equal settings too.
    """
    wanted, current = render(settings, paths), read(paths.config)
    if current is not None and current.identity == wanted.identity:
        return render(settings, paths, turn=current.prefix.removeprefix(wanted.prefix))
    others = (current, *(read(files.config) for files in paths.all_leaving()))
    taken = {other.prefix for other in others if other is not None}
    turn = ""
    while wanted.prefix + turn in taken:
        turn = str(int(turn or "1") + 1)
    return render(settings, paths, turn=turn)


def render(settings: GatewaySettings, paths: Paths, *, turn: str = "") -> Config:
    """The configuration for these settings; equal settings give one of equal identity.

    Args:
        turn: tells it from others of equal settings.
    """
    room = resources.files("tidegate.gateway.haproxy")
    template = room.joinpath("haproxy.cfg.j2").read_text()
    programs = {name: room.joinpath(name).read_text() for name in _PROGRAMS}
    place = "tidegate-" + hashlib.sha256(os.fsencode(paths.directory)).hexdigest()[:12]
    # What two generations of HAProxy must not share bears the generation's name.
    parts = (template, *programs.values(), repr(settings))
    generation = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]
    prefix = f"{place}-{generation}{turn}"
    admin_socket = paths.admin_socket(generation + turn)
    limited = tuple(f"l{number:04d}" for number in range(1, settings.limited_slots + 1))
    unlimited = tuple(f"u{number:04d}" for number in range(1, settings.unlimited_slots + 1))
    stages = tuple(f"p{number:04d}" for number in range(1, settings.stages + 1))
    environment = jinja2.Environment(  # noqa: S701 - HAProxy's language, not HTML
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    values = {
        "limits": limits(settings),
        "bind": _bind(settings, settings.port),
        "https_suffix": _suffix(settings),
        "tls_bind": _bind(settings, settings.tls.port) if settings.tls else "",
        "door": f"{place}-door",
        "limited": frozenset(limited),
        "slots": limited + unlimited,
        "stages": stages,
        "max_queued": settings.max_queued,
        "hold_seconds": settings.hold_seconds,
        "stage_queue_ms": _STAGE_QUEUE_MS,
        "usual_start_ms": USUAL_START_MS,
        **{name: getattr(paths, name) for name in _PATHS},
    }
    compiled = environment.from_string(template)
    draft = compiled.render(identity="", prefix="", admin_socket="", **values)
    identity = (
        "tidegate-" + hashlib.sha256((draft + "".join(programs.values())).encode()).hexdigest()[:16]
    )
    text = compiled.render(identity=identity, prefix=prefix, admin_socket=admin_socket, **values)
    ports = (settings.port, *((settings.tls.port,) if settings.tls else ()))
    return Config(
        text,
        identity,
        prefix,
        admin_socket,
        programs,
        limited,
        unlimited,
        stages,
        settings.bind,
        ports,
        settings.port_option,
    )


def read(path: Path) -> Config | None:
    """The configuration that a HAProxy was started with, None if there is none."""
    try:
        text = path.read_text()
    except OSError:
        return None
    identity = re.search(r"^    description (\S+)$", text, re.MULTILINE)
    admin = re.search(r"^    stats socket (\S+) ", text, re.MULTILINE)
    prefix = re.search(r"^    bind abns@(\S+)-k-\S+ name", text, re.MULTILINE)
    if identity is None or admin is None or prefix is None:
        return None
    limited, unlimited, stages = (
        tuple(re.findall(rf"^backend ({kind}\d+) from ", text, re.MULTILINE)) for kind in "lup"
    )
    return Config(
        text=text,
        identity=identity[1],
        prefix=prefix[1],
        admin_socket=Path(admin[1]),
        programs={},
        limited=limited,
        unlimited=unlimited,
        stages=stages,
        bind="",
        ports=(),
    )


def write(config: Config, paths: Paths) -> None:
    """Put the files where HAProxy will read them."""
    for path, text in (
        (paths.config, config.text),
        *((paths.directory / name, text) for name, text in config.programs.items()),
        (paths.unavailable_http, _UNAVAILABLE),
    ):
        write_private(path.parent, path.name, text)


def write_private(directory: os.PathLike[str], name: str, text: str) -> None:
    """Replace a file whole, readable by its owner only."""
    target = os.path.join(directory, name)  # noqa: PTH118
    draft = f"{target}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(draft, target)  # noqa: PTH105


_PATHS = (
    "park_lua",
    "rules_lua",
    "watchdog_lua",
    "overdue_lua",
    "stage_lua",
    "notice_socket",
    "records_socket",
    "routes_map",
    "revisions_map",
    "unavailable_http",
    "certificates",
)


def _suffix(settings: GatewaySettings) -> str:
    """What follows the host in a URL of the HTTPS port."""
    port = settings.tls.port if settings.tls else 443
    return "" if port == 443 else f":{port}"


def _bind(settings: GatewaySettings, port: int) -> str:
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    return f"{host}:{port}"
