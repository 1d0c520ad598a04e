"""The control plane dies with kill -9; pods, gateway and data do not notice."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import httpx

from tests.e2e.platform import Platform, knative_service, running_platform


class Load(threading.Thread):
    """Requests one after the other until told to stop; keeps what came back."""

    def __init__(self, platform: Platform, host: str) -> None:
        super().__init__()
        self._platform = platform
        self._host = host
        self._halt = threading.Event()
        self._answered = threading.Condition()
        self.statuses: list[int | str] = []

    def run(self) -> None:
        while not self._halt.is_set():
            try:
                status: int | str = self._platform.request(self._host, "/?work=0.02").status_code
            except httpx.HTTPError as error:
                status = repr(error)
            with self._answered:
                self.statuses.append(status)
                self._answered.notify_all()

    def more(self, number: int) -> None:
        """Wait for so many more answers."""
        goal = len(self.statuses) + number
        with self._answered:
            assert self._answered.wait_for(lambda: len(self.statuses) >= goal, timeout=60)

    def stop(self) -> None:
        self._halt.set()
        self.join()


def test_kill_9_under_load_loses_nothing_and_restarts_no_pod(tmp_path: Path) -> None:
    with running_platform(tmp_path / "platform") as platform:
        platform.apply(
            knative_service("steady", annotations={"autoscaling.knative.dev/min-scale": "2"})
        )
        platform.wait_ready("ksvc/steady")
        host = "steady.default.localhost"
        before = platform.request(host).json()
        pods = platform.get("pods", "-l", "serving.knative.dev/service=steady")["items"]
        load = Load(platform, host)
        load.start()
        try:
            for number in range(20):
                platform.kubectl("create", "configmap", f"acknowledged-{number}")
            platform.end_control_plane()
            load.more(50)
            platform.up()
            platform.wait_ready("ksvc/steady")
        finally:
            load.stop()
        assert set(load.statuses) == {200}
        after = platform.get("pods", "-l", "serving.knative.dev/service=steady")["items"]
        assert [_identity(pod) for pod in after] == [_identity(pod) for pod in pods]
        processes = {platform.request(host).json()["pid"] for _ in range(10)}
        assert before["pid"] in processes
        kept = platform.kubectl("get", "configmaps", "-o", "name").stdout
        assert all(f"configmap/acknowledged-{number}\n" in kept for number in range(20))


def _identity(pod: dict) -> tuple[str, int, str]:
    status = pod["status"]["containerStatuses"][0]
    return (
        pod["metadata"]["uid"],
        status["restartCount"],
        status["state"]["running"]["startedAt"],
    )


def test_down_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    with running_platform(tmp_path / "platform") as platform:
        platform.apply(
            knative_service("brief", annotations={"autoscaling.knative.dev/min-scale": "1"})
        )
        platform.wait_ready("ksvc/brief")
        pid = platform.request("brief.default.localhost").json()["pid"]
    assert not Path(f"/proc/{pid}").exists()
    assert _processes_that_name(platform.data_dir) == []
    for port in (platform.api_port, platform.gateway_port, platform.console_port):
        assert _is_free(port)


def test_what_was_deployed_comes_back_after_down_and_up(tmp_path: Path) -> None:
    with running_platform(tmp_path / "platform") as platform:
        platform.apply(knative_service("again"))
        platform.wait_ready("ksvc/again")
        platform.down()
        platform.up()
        assert platform.request("again.default.localhost").status_code == 200


def _processes_that_name(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(directory) in command:
                found.append(command)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
