"""Section 3: what clients and users rely on while requests flow."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.conformance.knative import (
    Api,
    Obj,
    good,
    pod_spec,
    service,
    with_annotations,
)
from tests.support.waiting import wait_until

MINIMUM = {"autoscaling.knative.dev/min-scale": "1"}


def talker(name: str, **spec: Any) -> Obj:
    """One pod that stays; keywords go into the spec of the template."""
    obj = with_annotations(MINIMUM, name=name)
    pod_spec(obj)["containers"][0]["image"] = "talker"
    pod_spec(obj).update(spec)
    return obj


def host(api: Api, name: str) -> str:
    return api.get("services", name)["status"]["url"].split("//")[1]


@pytest.fixture(scope="module", autouse=True)
def talkers(api: Api) -> None:
    made = {
        "total": talker("total", timeoutSeconds=2),
        "start": talker("start", responseStartTimeoutSeconds=1),
        "idle": talker("idle", idleTimeoutSeconds=1),
    }
    for obj in made.values():
        api.create("services", obj)
    for name in made:
        api.ready(name)


def ask(api: Api, name: str, path: str = "/") -> httpx.Response:
    return api.platform.request(host(api, name), path)


# Time limits


@pytest.mark.parametrize(("name", "seconds"), [("total", 2), ("start", 1), ("idle", 1)])
def test_no_first_byte_in_time_is_504(api: Api, name: str, seconds: int) -> None:
    assert ask(api, name, "/stream?first=0.1").status_code == 200
    began = time.monotonic()
    answer = ask(api, name, "/stream?first=20")
    assert answer.status_code == 504
    assert answer.json()["code"] == 504
    assert seconds <= time.monotonic() - began < 20


@pytest.mark.parametrize("name", ["total", "start"])
def test_what_began_in_time_streams_on(api: Api, name: str) -> None:
    answer = ask(api, name, "/stream?chunks=8&pause=0.4")
    assert answer.status_code == 200
    assert answer.text.split() == [str(number) for number in range(8)]


@pytest.mark.parametrize("name", ["total", "start"])
def test_what_began_in_time_may_fall_silent(api: Api, name: str) -> None:
    """Without idleTimeoutSeconds, and for longer than its beginning may take."""
    answer = ask(api, name, "/stream?chunks=2&pause=3")
    assert answer.status_code == 200
    assert answer.text.split() == ["0", "1"]


def test_a_gap_that_is_too_long_ends_the_stream(api: Api) -> None:
    """Pieces may come for longer than the limit; between two of them it must not pass."""
    answer = ask(api, "idle", "/stream?chunks=6&pause=0.3")
    assert answer.text.split() == ["0", "1", "2", "3", "4", "5"]
    with pytest.raises(httpx.RemoteProtocolError):
        ask(api, "idle", "/stream?chunks=2&pause=20")


def test_a_websocket_outlives_the_response_start_timeout(api: Api) -> None:
    url = f"ws://{host(api, 'start')}/websocket?pause=2"
    door = socket.create_connection(("127.0.0.1", api.platform.gateway_port))
    with connect(url, sock=door, proxy=None, compression=None) as websocket:
        for word in ("one", "two"):
            websocket.send(word)
            assert websocket.recv(timeout=30) == word


# Concurrency


def test_never_two_at_once_and_none_twice(api: Api) -> None:
    obj = with_annotations(
        {
            "autoscaling.knative.dev/min-scale": "2",
            "autoscaling.knative.dev/max-scale": "2",
        },
        name="alone",
    )
    pod_spec(obj)["containerConcurrency"] = 1
    api.apply_ready(obj)
    name = host(api, "alone")
    api.wait("revisions", "alone-00001", lambda o: o["status"].get("actualReplicas") == 2)
    answers: list[dict[str, Any]] = []

    def client() -> None:
        with httpx.Client(trust_env=False, timeout=60) as http:
            for _ in range(20):
                url = f"{api.platform.gateway}/?work=0.02"
                answer = http.get(url, headers={"Host": name})
                assert answer.status_code == 200
                answers.append(answer.json())

    with ThreadPoolExecutor(5) as pool:
        for future in [pool.submit(client) for _ in range(5)]:
            future.result()
    assert len(answers) == 100
    assert {answer["most"] for answer in answers} == {1}
    # Each pod counts what it has served: no request has been there twice.
    for pod in {answer["pod"] for answer in answers}:
        counts = [answer["served"] for answer in answers if answer["pod"] == pod]
        assert sorted(counts) == list(range(1, len(counts) + 1))


# Changes under load


_CLIENTS = 3


class Load:
    """Requests one after the other, by several clients, as long as it is open."""

    def __init__(self, api: Api, name: str) -> None:
        self._url = f"{api.platform.gateway}/"
        self._host = name
        self._end = threading.Event()
        self.answers: list[tuple[int, str]] = []

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=60) as http:
            while not self._end.is_set():
                answer = http.get(self._url, headers={"Host": self._host})
                revision = answer.json()["revision"] if answer.status_code == 200 else ""
                self.answers.append((answer.status_code, revision))

    def reaches(self, revision: str) -> None:
        """Wait until the revision has answered a request that is asked from now on."""
        before = len(self.answers) + _CLIENTS
        wait_until(lambda: (200, revision) in self.answers[before:])

    def stop(self) -> None:
        self._end.set()


@contextlib.contextmanager
def loaded(api: Api, name: str) -> Iterator[Load]:
    """Load on a Service; every answer must have been good."""
    load = Load(api, host(api, name))
    with ThreadPoolExecutor(_CLIENTS) as pool:
        clients = [pool.submit(load.run) for _ in range(_CLIENTS)]
        try:
            yield load
        finally:
            load.stop()
        for client in clients:
            client.result()
    assert Counter(status for status, _ in load.answers).keys() == {200}


def test_nothing_fails_while_revisions_come_and_traffic_moves(api: Api) -> None:
    api.apply_ready(with_annotations(MINIMUM, name="moving"))
    containers = [{"image": "counter", "args": ["two"]}]
    with loaded(api, "moving") as load:
        good(
            api.merge(
                "services", "moving", {"spec": {"template": {"spec": {"containers": containers}}}}
            )
        )
        api.ready("moving")
        load.reaches("moving-00002")
        split = [
            {"revisionName": "moving-00001", "percent": 50},
            {"revisionName": "moving-00002", "percent": 50},
        ]
        good(api.merge("services", "moving", {"spec": {"traffic": split}}))
        api.ready("moving")
        back = [{"revisionName": "moving-00001", "percent": 100}]
        good(api.merge("services", "moving", {"spec": {"traffic": back}}))
        api.ready("moving")
        load.reaches("moving-00001")
    assert {revision for _, revision in load.answers} == {"moving-00001", "moving-00002"}
    assert ask(api, "moving").json()["revision"] == "moving-00001"


def test_a_split_is_kept(api: Api) -> None:
    api.apply_ready(service("split"))
    containers = [{"image": "counter", "args": ["two"]}]
    traffic = [
        {"revisionName": "split-00001", "percent": 75},
        {"latestRevision": True, "percent": 25},
    ]
    template = {"spec": {"containers": containers}}
    good(api.merge("services", "split", {"spec": {"template": template, "traffic": traffic}}))
    api.ready("split")
    name = host(api, "split")
    with httpx.Client(trust_env=False, timeout=60) as http:
        found = Counter(
            http.get(api.platform.gateway, headers={"Host": name}).json()["revision"]
            for _ in range(200)
        )
    # Five standard deviations of a fair die are 31; it may be fairer.
    assert set(found) == {"split-00001", "split-00002"}
    assert abs(found["split-00002"] - 50) <= 31


# Readiness


def test_a_pod_that_is_no_longer_ready_gives_no_bad_gateway(api: Api) -> None:
    obj = talker("moody", timeoutSeconds=600)
    pod_spec(obj)["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/ready"},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    api.apply_ready(obj)
    (pod,) = api.names("pods", labelSelector="serving.knative.dev/service=moody")
    name = host(api, "moody")
    assert ask(api, "moody", "/unready").status_code == 200
    statuses: set[int] = set()

    def attempt() -> None:
        with contextlib.suppress(httpx.ReadTimeout):
            statuses.add(api.platform.request(name, timeout=0.3).status_code)

    while api.condition("pods", pod, "Ready", "False") is None:
        attempt()
    for _ in range(5):
        attempt()
    assert statuses <= {200, 503}
    # The node asks the pod itself; so does who brings it back.
    recover(api, pod)
    api.condition("pods", pod, "Ready", "True")
    assert ask(api, "moody").status_code == 200


def recover(api: Api, pod: str) -> None:
    code = "import os,urllib.request as u; u.urlopen('http://127.0.0.1:'+os.environ['PORT']+'/recover')"
    api.platform.kubectl("exec", "-n", api.namespace, pod, "--", "python3", "-c", code)


def test_a_request_from_zero_is_held_until_a_pod_is_there(api: Api) -> None:
    obj = with_annotations({"autoscaling.knative.dev/window": "6s"}, name="sleeper")
    soon = {"scale-to-zero-grace-period": "0s"}
    with api.settings("config-autoscaler", soon):
        api.apply_ready(obj)
        api.condition("revisions", "sleeper-00001", "Active", "False", "NoTraffic")
        api.wait("deployments", "sleeper-00001-deployment", lambda o: o["spec"]["replicas"] == 0)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(api, "sleeper").status_code, range(4)))
    assert answers == [200] * 4
    api.condition("revisions", "sleeper-00001", "Active", "True")


# Images


PROGRAM = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{word}")

    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = """
name = "changing"
command = ["python3", "main.py"]

[[ports]]
container = 8080
env = "PORT"
"""


def digest_of(api: Api, revision: str) -> str:
    def known(obj: Obj) -> str:
        (status,) = obj.get("status", {}).get("containerStatuses") or [{}]
        return status.get("imageDigest", "")

    return known(api.wait("revisions", revision, known))


def test_a_revision_keeps_its_image_when_the_tag_moves_on(api: Api, tmp_path: Path) -> None:
    (tmp_path / "image.toml").write_text(MANIFEST)
    (tmp_path / "main.py").write_text(PROGRAM.replace("{word}", "one"))
    added = api.platform.tidegate("image", "add", str(tmp_path))
    assert added.returncode == 0, added.stderr
    obj = with_annotations(MINIMUM, name="pinned")
    pod_spec(obj)["containers"][0]["image"] = "changing"
    api.apply_ready(obj)
    assert ask(api, "pinned").text == "one"
    first = digest_of(api, "pinned-00001")

    (tmp_path / "main.py").write_text(PROGRAM.replace("{word}", "two"))
    (pod,) = api.names("pods", labelSelector="serving.knative.dev/service=pinned")
    api.delete("pods", pod)
    assert ask(api, "pinned").text == "one"
    pods = api.names("pods", labelSelector="serving.knative.dev/service=pinned")
    (other,) = [name for name in pods if name != pod]
    assert api.get("pods", other)["spec"]["containers"][0]["image"] == first
    assert digest_of(api, "pinned-00001") == first

    pod_spec(obj)["timeoutSeconds"] = 20
    good(api.merge("services", "pinned", {"spec": obj["spec"]}))
    api.wait("services", "pinned", lambda o: o["status"]["latestReadyRevisionName"][-1] == "2")
    api.ready("pinned")
    assert ask(api, "pinned").text == "two"
    assert digest_of(api, "pinned-00002") != first


def test_who_is_not_known_is_not_found(api: Api) -> None:
    assert api.platform.request(f"nobody.{api.namespace}.localhost").status_code == 404
