"""When containers are probed, in virtual time, and how, against real servers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.virtual_clock import VirtualClock
from tidegate.kube import certificates
from tidegate.node.probes.checks import Target, check_of
from tidegate.node.probes.timing import Answer, Probe, ProbeTiming

SEED = {
    "tcpSocket": {"port": 7860},
    "initialDelaySeconds": 5,
    "periodSeconds": 1,
    "failureThreshold": 3,
}


@dataclasses.dataclass
class Patient:
    """Answers as told, and remembers when it was asked and what was concluded."""

    clock: VirtualClock
    healthy: bool = False
    answers_after: float = 0.0
    asked: list[float] = dataclasses.field(default_factory=list)
    verdicts: list[tuple[float, bool]] = dataclasses.field(default_factory=list)
    failures: list[float] = dataclasses.field(default_factory=list)

    async def check(self) -> Answer:
        self.asked.append(self.clock.monotonic())
        if self.answers_after:
            await self.clock.sleep(self.answers_after)
        return Answer(self.healthy, "sick")

    def probe(self, timing: ProbeTiming, *, eager: bool = False, healthy: bool = False) -> Probe:
        def now() -> float:
            return round(self.clock.monotonic(), 3)

        return Probe(
            timing,
            self.check,
            clock=self.clock,
            eager=eager,
            healthy=healthy,
            on_change=lambda verdict: self.verdicts.append((now(), verdict)),
            on_failure=lambda _: self.failures.append(now()),
        )


@contextlib.asynccontextmanager
async def running(probe: Probe):
    task = asyncio.create_task(probe.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_defaults_are_kubernetes() -> None:
    assert ProbeTiming.of({"tcpSocket": {"port": 1}}) == ProbeTiming(0, 10, 1, 1, 3)
    assert ProbeTiming.of(SEED) == ProbeTiming(5, 1, 1, 1, 3)
    assert ProbeTiming.of({"periodSeconds": 0}).period == 10


async def test_readiness_is_seen_long_before_the_first_period() -> None:
    clock = VirtualClock()
    patient = Patient(clock)
    async with running(patient.probe(ProbeTiming.of(SEED), eager=True)):
        await clock.advance(0.2)
        assert patient.verdicts == []
        patient.healthy = True
        await clock.advance(0.05)
        [(when, verdict)] = patient.verdicts
        assert verdict
        assert 0.2 <= when <= 0.25


async def test_failures_count_from_the_initial_delay_and_once_per_period() -> None:
    clock = VirtualClock()
    patient = Patient(clock)
    async with running(patient.probe(ProbeTiming.of(SEED), eager=True)):
        await clock.advance(4.99)
        assert patient.failures == []
        await clock.advance(2.02)
        assert patient.failures == [5.0, 6.0, 7.0]
        assert patient.verdicts == [(7.0, False)]


async def test_eager_attempts_thin_out_to_the_period() -> None:
    clock = VirtualClock()
    patient = Patient(clock)
    timing = ProbeTiming(initial_delay=60, period=10)
    async with running(patient.probe(timing, eager=True)):
        await clock.advance(59)
    gaps = [b - a for a, b in zip(patient.asked, patient.asked[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert patient.asked[0] == pytest.approx(0.01)
    assert len(patient.asked) < 60


async def test_a_ready_container_becomes_unready_after_the_threshold_and_ready_again() -> None:
    clock = VirtualClock()
    patient = Patient(clock, healthy=True)
    async with running(patient.probe(ProbeTiming(period=1), eager=True)):
        await clock.advance(0.02)
        patient.healthy = False
        await clock.advance(2.5)
        assert [verdict for _, verdict in patient.verdicts] == [True]
        await clock.advance(1)
        assert [verdict for _, verdict in patient.verdicts] == [True, False]
        patient.healthy = True
        await clock.advance(1)
        assert patient.verdicts[-1][1] is True


async def test_liveness_asks_at_the_delay_and_the_periods_only() -> None:
    clock = VirtualClock()
    patient = Patient(clock)
    timing = ProbeTiming(initial_delay=3, period=2, failure_threshold=2)
    async with running(patient.probe(timing, healthy=True)):
        await clock.advance(7.5)
    assert patient.asked == [3, 5, 7]
    assert patient.verdicts == [(5, False), (7, False)]


async def test_the_success_threshold_counts_successes_in_a_row() -> None:
    clock = VirtualClock()
    patient = Patient(clock, healthy=True)
    async with running(patient.probe(ProbeTiming(period=1, success_threshold=3), eager=True)):
        await clock.advance(2)
        assert patient.verdicts == []
        await clock.advance(1)
        assert [verdict for _, verdict in patient.verdicts] == [True]


async def test_a_slow_answer_is_not_followed_by_a_burst() -> None:
    clock = VirtualClock()
    patient = Patient(clock, healthy=True, answers_after=3.5)
    async with running(patient.probe(ProbeTiming(period=1), healthy=True)):
        await clock.advance(8)
    assert patient.asked == [0, 3.5, 7]


def target(**ports: int) -> Target:
    return Target({8080: ports.get("real", 0)}, {"http1": 8080}, {"PATH": "/usr/bin:/bin"}, Path())


async def http_server(answer: bytes) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /ready?a=b HTTP/1.1\r\n")
        assert b"X-Probe: yes\r\n" in head
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("answer", "success", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True, ""),
        (b"HTTP/1.0 302 Found\r\n\r\n", True, ""),
        (b"HTTP/1.1 503 No\r\n\r\n", False, "HTTP probe failed with statuscode: 503"),
        (b"SSH-2.0\r\n", False, "the answer is not HTTP"),
        (b"", False, "0 bytes read"),
    ],
)
async def test_http(answer: bytes, success: bool, message: str) -> None:
    server = await http_server(answer)
    async with server:
        port = server.sockets[0].getsockname()[1]
        handler = {
            "httpGet": {
                "port": "http1",
                "path": "ready?a=b",
                "httpHeaders": [{"name": "X-Probe", "value": "yes"}],
            }
        }
        result = await check_of(handler, target(real=port), timeout=5)()
    assert result.success is success
    assert message in result.message


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The file of a server's certificate and key."""
    name = x509.Name([])
    now = datetime.now(UTC)
    authority = certificates.new_authority(name, now=now, life=timedelta(days=1))
    issued = certificates.issue_server(authority, name, ["127.0.0.1"], now=now)
    path = tmp_path / "server.pem"
    path.write_bytes(issued.certificate_pem + issued.key_pem)
    return path


async def test_an_https_server_need_not_say_goodbye(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        # As one that is busy with somebody else.
        writer.transport.pause_reading()
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        handler = {"httpGet": {"port": 8080, "scheme": "HTTPS"}}
        answer = await check_of(handler, target(real=port), timeout=5)()
        over.set()
    assert answer == Answer(True)


async def test_tcp_connects_to_the_real_port() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        handler = {"tcpSocket": {"port": 8080}}
        assert (await check_of(handler, target(real=port), timeout=5)()).success
    assert not (await check_of(handler, target(real=port), timeout=5)()).success


async def test_commands() -> None:
    def run(*command: str, timeout: float = 5) -> asyncio.Future[Answer]:
        handler = {"exec": {"command": list(command)}}
        return asyncio.ensure_future(check_of(handler, target(), timeout=timeout)())

    assert (await run("true")).success
    assert await run("sh", "-c", "echo broken; exit 1") == Answer(False, "broken")
    assert "No such file" in (await run("no-such-program")).message
    assert "no answer within 0.1 s" in (await run("sleep", "60", timeout=0.1)).message
    assert len((await run("sh", "-c", "yes | head -c 1000000; exit 1")).message) <= 10 << 10


async def test_headers_cannot_be_smuggled() -> None:
    server = await http_server(b"")
    async with server:
        port = server.sockets[0].getsockname()[1]
        handler = {"httpGet": {"port": port, "path": "/x\r\nHost: evil"}}
        assert "line break" in (await check_of(handler, target(), timeout=5)()).message


async def test_the_first_instant_counts_against_nobody() -> None:
    clock = VirtualClock()
    patient = Patient(clock)
    async with running(patient.probe(ProbeTiming(period=1), eager=True)):
        await clock.advance(0.99)
        assert patient.failures == []
        await clock.advance(2.02)
        assert patient.failures == [1.0, 2.0, 3.0]
