"""A model server for tests: works as long as it is told and counts what it holds at once.

`GET /?work=SECONDS` answers with JSON: the pod, its process, how many requests it held when this
one came, and the most it ever held. `GET /end` ends all work before its time and counts as none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LOCK = threading.Lock()
ENDED = threading.Event()
HELD = 0
MOST = 0
SERVED = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each body waits 40 ms for the acknowledgement of its head.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        global HELD, MOST, SERVED
        url = urlsplit(self.path)
        if url.path == "/end":
            ENDED.set()
            self.answer({})
            return
        with LOCK:
            HELD += 1
            MOST = max(MOST, HELD)
            held = HELD
        try:
            ENDED.wait(float(parse_qs(url.query).get("work", ["0"])[0]))
        finally:
            with LOCK:
                HELD -= 1
                SERVED += 1
        self.answer(
            {
                "pod": os.environ.get("HOSTNAME"),
                "pid": os.getpid(),
                "version": os.environ.get("VERSION", ""),
                "revision": os.environ.get("K_REVISION", ""),
                "held": held,
                "most": MOST,
                "served": SERVED,
                "headers": dict(self.headers.items()),
            }
        )

    def answer(self, said: dict[str, object]) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        remaining = int(self.headers.get("Content-Length", 0))
        while remaining:
            remaining -= len(self.rfile.read(min(remaining, 65536)))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        sys.stderr.write("counter: " + format % args + "\n")


def main() -> None:
    if os.environ.get("EXIT_CODE"):
        print("counter: told to fail", flush=True)
        sys.exit(int(os.environ["EXIT_CODE"]))
    time.sleep(float(os.environ.get("LOAD_SECONDS", "0")))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler)
    # Shutting down joins the requests in work: none is cut by a scale-down.
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("counter: ready", flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
