"""What becomes of a picture when its client leaves or the process is told to end."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from typing import Any

import httpx
import pytest
from a1111 import Client, Running, opened, started

LONG = {"steps": 150, "sampler_name": "Heun", "seed": 1, "width": 64, "height": 64}  # seconds each
SHORT = {"steps": 1, "seed": 1, "width": 64, "height": 64}


def open_request(client: Client, path: str, payload: dict[str, Any]) -> socket.socket:
    """A request sent by hand, so that its connection can be closed at any moment."""
    host, port = client.url.removeprefix("http://").split(":")
    body = json.dumps(payload).encode()
    connection = socket.create_connection((host, int(port)))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def test_a_picture_whose_client_left_is_dropped(server: Running) -> None:
    for path in ("/sdapi/v1/txt2img", "/generate"):
        connection = open_request(server.client, path, {"prompt": "cat", "n_iter": 60, **LONG})
        server.until_sampling(3)
        connection.close()
        # Sixty such pictures would take minutes.
        server.until_idle()
        assert len(server.client.txt2img("dog", **SHORT)["images"]) == 1


def test_a_waiting_request_whose_client_left_is_never_begun(server: Running) -> None:
    first = open_request(server.client, "/sdapi/v1/txt2img", {"n_iter": 60, **LONG})
    server.until_sampling(1)
    second = open_request(server.client, "/sdapi/v1/txt2img", {"n_iter": 60, **LONG})
    time.sleep(0.1)
    second.close()
    time.sleep(0.1)
    first.close()
    server.until_idle()
    assert len(server.client.txt2img("dog", **SHORT)["images"]) == 1


def test_a_client_that_leaves_before_its_body_is_complete(server: Running) -> None:
    host, port = server.client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
        )
    assert len(server.client.txt2img("dog", **SHORT)["images"]) == 1


def test_one_picture_at_a_time(server: Running) -> None:
    answers: list[float] = []

    def send() -> None:
        server.client.txt2img("cat", **{**LONG, "steps": 20})
        answers.append(time.monotonic())

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        assert server.client.get("progress?skip_current_image=true")["state"]["job_count"] <= 1
    assert len(answers) == 4


def test_sigterm_lets_the_picture_in_work_be_finished() -> None:
    with started("--grace", "40") as running:
        answers: list[httpx.Response] = []
        work = {**LONG, "steps": 40}
        ask = threading.Thread(target=lambda: answers.append(running.client.post("txt2img", work)))
        ask.start()
        running.until_sampling(1)
        assert running.terminate(within=45) == 0
        ask.join(5)
        assert answers[0].status_code == 200
        assert opened(answers[0].json()["images"][0]).size == (64, 64)


def test_sigterm_drops_what_does_not_fit_the_grace() -> None:
    with started("--grace", "0.5") as running:
        answers: list[httpx.Response] = []
        many = {"n_iter": 60, **LONG}
        asks = [
            threading.Thread(target=lambda: answers.append(running.client.post("txt2img", many)))
            for _ in range(2)
        ]
        for ask in asks:
            ask.start()
        running.until_sampling(3)
        began = time.monotonic()
        assert running.terminate(within=10) == 0
        assert time.monotonic() - began < 5
        for ask in asks:
            ask.join(5)
        assert [a.status_code for a in answers] == [503, 503]
        assert answers[0].headers["Retry-After"] == "1"


def test_sigterm_waits_for_no_connection_that_says_nothing() -> None:
    """One idle, one in the middle of its body, one that never reads its answer."""
    with started("--grace", "1") as running:
        client = running.client
        address = tuple(client.url.removeprefix("http://").split(":"))
        idle = socket.create_connection(address)
        half = socket.create_connection(address)
        half.sendall(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        deaf = open_request(client, "/generate", {"prompt": "cat", "n_iter": 60, **LONG})
        running.until_sampling(2)
        assert running.terminate(within=30) == 0
        for connection in (idle, half, deaf):
            connection.close()


def test_sigterm_ends_a_stream_of_progress_with_its_reason() -> None:
    with started("--grace", "0.5") as running:
        fields = {"prompt": "cat", "n_iter": 60, **LONG}
        with running.client.http.stream("POST", "/generate", json=fields) as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines))["type"] == "waiting"
            running.until_sampling(2)
            running.process.send_signal(signal.SIGTERM)
            last = [json.loads(line) for line in lines][-1]
        assert last["type"] == "error"
        assert running.process.wait(30) == 0


def test_the_command_of_the_service_starts_it(server: Running) -> None:
    """As the manifest's pod runs it, the port by its flag; on the loopback by LISTEN_HOST."""
    flags = ["--listen", "--skip-torch-cuda-test", "--api", "--port", "{port}"]
    with started(*flags, env={"LISTEN_HOST": "127.0.0.1", "PORT": "9"}) as running:
        picture = running.client.txt2img("cat", seed=4, steps=2)["images"]
    # Another process draws the same.
    assert server.client.txt2img("cat", seed=4, steps=2)["images"] == picture


def test_sigint_ends_an_idle_server_at_once() -> None:
    with started() as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(5) == 0


def test_a_port_in_use_is_an_error(server: Running) -> None:
    port = server.client.url.rsplit(":", 1)[1]
    with pytest.raises(AssertionError, match="ended with"), started("--port", port):
        pass
