"""Takes its time and talks in pieces, for tests of time limits, streams and readiness.

`/stream?first=S&chunks=N&pause=S` begins after `first` seconds and sends N pieces, `pause` apart;
`/websocket?pause=S` echoes each message after a pause; `/ready` is 200 until `/unready` was asked,
and again after `/recover`. Anything else says who answers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
IS_READY = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each body waits 40 ms for the acknowledgement of its head.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        global IS_READY
        url = urlsplit(self.path)
        query = {name: float(values[0]) for name, values in parse_qs(url.query).items()}
        if url.path == "/stream":
            self.stream(**query)
        elif url.path == "/websocket":
            self.websocket(**query)
        elif url.path == "/ready":
            self.answer(200 if IS_READY else 503)
        else:
            IS_READY = {"/unready": False, "/recover": True}.get(url.path, IS_READY)
            self.answer(200)

    def answer(self, status: int) -> None:
        body = json.dumps({"revision": os.environ.get("K_REVISION", "")}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, first: float = 0, chunks: float = 1, pause: float = 0) -> None:
        time.sleep(first)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(int(chunks)):
            if number:
                time.sleep(pause)
            text = f"{number}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.write(b"0\r\n\r\n")

    def websocket(self, pause: float = 0) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()  # noqa: S324
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        while head := self.rfile.read(2):
            length = head[1] & 0x7F
            mask, data = self.rfile.read(4), self.rfile.read(length)
            if head[0] & 0x0F == 8:
                break
            time.sleep(pause)
            plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            self.wfile.write(bytes([0x81, len(plain)]) + plain)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
