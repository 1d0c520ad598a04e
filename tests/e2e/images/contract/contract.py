"""Tells over HTTP what a container of it sees, for tests of the runtime contract.

`GET /eval?EXPRESSION` answers with the value of a Python expression in its process, as JSON; any
other path with the request as it came. It speaks HTTP/1.1, and HTTP/2 to who begins with it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

STDIN = sys.stdin.read()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, DATA, PING = 4, 1, 0, 6
MEMORY: list[bytearray] = []


def fill(mebibytes: int) -> int:
    """Use memory for good."""
    MEMORY.append(bytearray(b"x") * (mebibytes << 20))
    return mebibytes


def write(path: str, text: str = "x") -> str:
    """Try to write a file: `written`, or the error's name."""
    try:
        with Path(path).open("w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        return os.strerror(error.errno)
    return "written"


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


def say(text: str) -> bool:
    """A line on each output."""
    print(f"out: {text}", flush=True)
    print(f"err: {text}", file=sys.stderr, flush=True)
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each body waits 40 ms for the acknowledgement of its head.
    disable_nagle_algorithm = True

    def handle(self) -> None:
        start = self.connection.recv(len(PREFACE), socket.MSG_PEEK)
        if start.startswith(PREFACE[:16]):
            self.handle_http2()
        else:
            super().handle()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/eval":
            answer = eval(unquote(parts.query), globals())  # noqa: S307 - its purpose
        else:
            answer = {
                "protocol": self.request_version,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
            }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_http2(self) -> None:
        """Every request gets the same answer, whatever it asks."""
        self.rfile.read(len(PREFACE))
        self.frame(SETTINGS, 0, 0, b"")
        while head := self.rfile.read(9):
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
            payload = self.rfile.read(length)
            if kind == SETTINGS and not flags & 1:
                self.frame(SETTINGS, 1, 0, b"")
            elif kind == PING and not flags & 1:
                self.frame(PING, 1, 0, payload)
            elif kind == HEADERS:
                # 0x88 is `:status: 200` in HPACK's static table.
                self.frame(HEADERS, 4, stream, b"\x88")
                self.frame(DATA, 1, stream, b'{"protocol": "HTTP/2.0"}')

    def frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        self.wfile.write(head + payload)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.daemon_threads = True

    def stop(*_: object) -> None:
        say("asked to end")
        if not os.environ.get("STUBBORN"):
            threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    say(f"limits {resource.getrlimit(resource.RLIMIT_NOFILE)}")
    server.serve_forever()


if __name__ == "__main__":
    main()
