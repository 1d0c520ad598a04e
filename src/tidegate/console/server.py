"""How the console is served: uvicorn's settings."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp

GRACE_SECONDS = 2.0
_KEEP_ALIVE_SECONDS = 30
_MOST_HEADER_BYTES = 32 * 1024


def configuration(application: ASGIApp) -> uvicorn.Config:
    """uvicorn's settings for the console."""
    return uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
