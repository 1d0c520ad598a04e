"""Where the program begins: nothing is there to be tidied up yet, so Ctrl-C just ends it."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command of the command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tidegate.cli.main import app

    signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


if __name__ == "__main__":
    main()
