"""Start the portal: `python3 main.py`. Its settings come from the environment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from portal.errors import ConfigurationError
from portal.serving import listen, serve
from portal.settings import Settings, from_environment


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(
        settings,
        pages=listen(settings.listen_address, settings.port),
        service_page=listen(settings.listen_address, settings.service_page_port),
        stop=stop,
    )


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 when the settings make no sense."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # One line per request and per list of pods would bury everything else.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = from_environment(os.environ)
    except ConfigurationError as error:
        print(f"portal: {error}", file=sys.stderr)
        return 2
    asyncio.run(_run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
