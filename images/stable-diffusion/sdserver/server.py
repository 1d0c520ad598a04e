"""Start the engine, then listen; on SIGTERM finish what is in work, within the grace given."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from .app import build_app
from .engines.base import Engine, EngineError
from .flags import Flags, parse_flags
from .studio import Studio

WEIGHTS = Path(__file__).parent.parent / "weights"
CUT_OFF_LEAD = 1.0  # seconds between dropping what is in work and closing its connection
log = logging.getLogger("sdserver")


class Server(uvicorn.Server):
    """uvicorn's server, which tells the studio when it is to end."""

    def __init__(self, config: uvicorn.Config, studio: Studio, grace: float) -> None:
        super().__init__(config)
        self._studio = studio
        self._grace = grace

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._studio.ending:
            log.info("signal %s: finishing what is in work, at most %g s", sig, self._grace)
            self._studio.end_soon()
            self._loop.call_soon_threadsafe(
                self._loop.call_later, self._grace, self._studio.cut_off
            )
        super().handle_exit(sig, frame)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)


def load_engine(flags: Flags) -> Engine:
    """The engine that the flags choose; its libraries are imported only here."""
    if flags.ckpt:
        from .engines.diffusers import DiffusersEngine

        return DiffusersEngine(flags.ckpt)
    from .engines.tiny import TinyEngine

    return TinyEngine(WEIGHTS)


def pod_name() -> str:
    return os.environ.get("HOSTNAME") or socket.gethostname()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until told to end; 0 when it ended as told, 2 when it cannot start."""
    started = time.monotonic()
    flags = parse_flags(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=flags.loglevel.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        engine = load_engine(flags)
    except EngineError as error:
        print(f"launch.py: {error}", file=sys.stderr)
        return 2
    log.info("%s loaded in %.2f s", engine.name, time.monotonic() - started)
    # uvicorn raises the signal again after its shutdown; the process should then end with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return asyncio.run(serve(flags, engine))


async def serve(flags: Flags, engine: Engine) -> int:
    studio = Studio(engine)
    shown: dict[str, Any] = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(flags).items()
    }
    app = build_app(
        studio, pod=pod_name(), flags=shown, page=not flags.nowebui, cors=list(flags.cors)
    )
    config = uvicorn.Config(
        app,
        host=flags.host,
        port=flags.port,
        log_level=flags.loglevel,
        timeout_graceful_shutdown=int(flags.grace + CUT_OFF_LEAD + 1),
        lifespan="off",
        server_header=False,
    )
    server = Server(config, studio, flags.grace)
    await server.serve()
    return 0 if server.started else 1
