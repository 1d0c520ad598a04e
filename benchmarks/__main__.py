"""`make bench`: every benchmark in turn, each in a process of its own.

python -m benchmarks [platform] [pods] [gateway] [gateways] [services] [latency] [peers] [apiserver]
"""

from __future__ import annotations

import subprocess
import sys

_ALL = ("platform", "pods", "gateway", "gateways", "services", "latency", "peers", "apiserver")


def main(names: list[str]) -> int:
    """Run the named benchmarks, all if none is named; the exit code says whether all ran."""
    unknown = sorted(set(names) - set(_ALL))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(_ALL)}", file=sys.stderr)
        return 2
    codes = [
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        for name in names or _ALL
    ]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
