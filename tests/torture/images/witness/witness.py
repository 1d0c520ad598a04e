"""A pod that bears witness: each request's beginning and end go to a file that outlives it.

`GET /work?ms=MILLISECONDS` with `X-Request-Id` answers with the id, the milliseconds and the pod.
The file `<REPORT_DIR>/<pod>.<pid>` has a line `S <id> <at once> <began> <arrived>` when a request
has begun and `E <id> <ended>` when its work is done, in monotonic seconds; `arrived` is when the
kernel had it, which a busy machine may keep from the program for long. A file whose requests have
no end is that of a pod that was killed. The work goes on, like most programs', when the client has
left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from urllib.parse import parse_qs, urlsplit

# Where `tcpi_last_data_recv`, in milliseconds, stands in the kernel's `struct tcp_info`.
_LAST_DATA_RECEIVED = 52


class Witness:
    """Counts the requests at work in this process."""

    def __init__(self, directory: str, pod: str) -> None:
        self._pod = pod
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(f"{directory}/{pod}.{os.getpid()}", flags, 0o600)
        self._at_once = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def _note(self, line: str) -> None:
        # One write for each line: nothing is lost when the process is killed.
        os.write(self._file, line.encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self._enter()
                try:
                    await reader.readexactly(int(_field(head, "content-length") or 0))
                    writer.write(await self._work(head, writer.get_extra_info("socket")))
                finally:
                    self._leave()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _work(self, head: str, connection: socket.socket) -> bytes:
        target = urlsplit(head.split()[1])
        if target.path != "/work":
            return _answer(f"{self._pod}\n")
        number = _field(head, "x-request-id")
        milliseconds = int(parse_qs(target.query)["ms"][0])
        began = time.monotonic()
        arrived = began - _seconds_since_data(connection)
        self._note(f"S {number} {self._at_once} {began:.6f} {arrived:.6f}\n")
        await asyncio.sleep(milliseconds / 1000)
        self._note(f"E {number} {time.monotonic():.6f}\n")
        return _answer(f"{number} {milliseconds} {self._pod}\n")

    def _enter(self) -> None:
        self._at_once += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._at_once -= 1
        if not self._at_once:
            self._idle.set()

    async def wait_idle(self) -> None:
        await self._idle.wait()


def _field(head: str, wanted: str) -> str:
    fields = (line.partition(":") for line in head.split("\r\n"))
    return next((value.strip() for name, _, value in fields if name.lower() == wanted), "")


def _seconds_since_data(connection: socket.socket) -> float:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
    return struct.unpack_from("I", info, _LAST_DATA_RECEIVED)[0] / 1000


def _answer(text: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


async def main() -> None:
    witness = Witness(os.environ["REPORT_DIR"], os.environ["HOSTNAME"])
    ends = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
    server = await asyncio.start_server(witness.serve, "127.0.0.1", int(os.environ["PORT"]))
    print("witness: ready", flush=True)
    await ends.wait()
    server.close()
    await witness.wait_idle()


if __name__ == "__main__":
    asyncio.run(main())
