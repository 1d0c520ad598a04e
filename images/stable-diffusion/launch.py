"""Start the server: `python3 launch.py --listen --skip-torch-cuda-test --api [--port N]`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # A launcher that runs this file by other means than `python3 launch.py` sets no search path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from sdserver.server import main

    sys.exit(main())
