"""Says when a host is answered with 200 for the first time, in a process of its own.

    python -m benchmarks.first_answer PORT      # hosts on stdin, a line each

For each host it prints `ready` once it asks, and then the `time.monotonic` of the first 200: the
clock is the same in all processes of a machine. It is apart so that it does not share the
interpreter with what is measured.
"""

from __future__ import annotations

import socket
import sys
import time

_PAUSE_SECONDS = 0.0003


def main() -> None:
    port = int(sys.argv[1])
    for line in sys.stdin:
        host = line.strip().encode()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            status = _ask(connection, host)
            print("ready", flush=True)
            while status != b"200":
                time.sleep(_PAUSE_SECONDS)
                status = _ask(connection, host)
            print(time.monotonic(), flush=True)


def _ask(connection: socket.socket, host: bytes) -> bytes:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    missing = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
    while missing > 0:
        missing -= len(_receive(connection))
    return head.split(b" ", 2)[1]


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the gateway closed the connection")
    return data


if __name__ == "__main__":
    main()
