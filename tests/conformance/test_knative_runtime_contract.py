"""Knative's runtime contract (section 1.9 of the facts, and the limits and volumes of section 3):
one program in real pods, asked over HTTP what it sees. `docs/knative.md` has the exceptions."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.knative import Api, Obj, good, pod_spec
from tests.e2e.platform import running_platform
from tests.support.waiting import wait_until

NAME = "contract"
READ_ONLY = "Read-only file system"


class Program:
    """The program behind a Knative Service."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name
        self.host = f"{name}.{api.namespace}.localhost"

    def eval(self, expression: str) -> Any:
        return self.get(f"/eval?{urllib.parse.quote(expression)}").json()

    def get(self, path: str, **headers: str) -> Any:
        response = self.api.platform.request(self.host, path, headers=headers)
        assert response.status_code == 200, response.text
        return response

    def pods(self) -> list[Obj]:
        selector = f"serving.knative.dev/service={self.name}"
        path = self.api.path("pods")
        return good(self.api.http.get(path, params={"labelSelector": selector}))["items"]


def contract(name: str = NAME, **container: Any) -> Obj:
    """One pod that stays; keywords go into its container."""
    template = {
        "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
        "spec": {"containers": [{"image": "contract", **container}]},
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_platform(tmp_path_factory.mktemp("contract")) as platform:
        api = Api(platform, "default")
        for kind, obj in _sources():
            api.create(kind, obj)
        yield api
        api.close()


@pytest.fixture(scope="module")
def program(api: Api) -> Program:
    """A Service as plain as can be."""
    return deploy(api, contract())


def deploy(api: Api, obj: Obj) -> Program:
    api.apply_ready(obj)
    return Program(api, obj["metadata"]["name"])


def _sources() -> list[tuple[str, Obj]]:
    def made(kind: str, name: str, data: dict[str, str]) -> Obj:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": data}

    secret = base64.b64encode(b"sesame").decode()
    return [
        ("configmaps", made("ConfigMap", "settings", {"colour": "green", "both": "settings"})),
        ("secrets", made("Secret", "keys", {"key": secret, "both": secret})),
    ]


# Environment


def test_must_port_and_should_names_of_the_service(program: Program, api: Api) -> None:
    env = program.eval("dict(os.environ)")
    revision = api.get("services", NAME)["status"]["latestReadyRevisionName"]
    assert 0 < int(env["PORT"]) < 65536
    assert (env["K_SERVICE"], env["K_CONFIGURATION"], env["K_REVISION"]) == (NAME, NAME, revision)


def test_hostname_is_the_pods(program: Program) -> None:
    [pod] = program.pods()
    assert program.eval("os.environ['HOSTNAME']") == pod["metadata"]["name"]
    assert program.eval("socket.gethostname()") == pod["metadata"]["name"][:63]


def test_command_arguments_working_directory_and_variables(api: Api) -> None:
    env = [
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
        {"name": "HUE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "GREETING", "value": "hello $(HUE), $$(HUE)"},
    ]
    program = deploy(
        api,
        contract(
            "variables",
            command=["python3", "contract.py"],
            args=["--for", "$(GREETING)"],
            env=env,
            envFrom=[{"prefix": "S_", "configMapRef": {"name": "settings"}}],
        ),
    )
    names = ("GREETING", "KEY", "HUE", "S_colour")
    assert program.eval(f"[os.environ[n] for n in {names}]") == [
        "hello green, $(HUE)",
        "sesame",
        "green",
        "green",
    ]
    assert program.eval("sys.argv[1:]") == ["--for", "hello green, $(HUE)"]


# Process


def test_standard_input_is_empty_and_nothing_is_a_terminal(program: Program) -> None:
    assert program.eval("STDIN") == ""
    assert program.eval("[os.isatty(n) for n in range(3)]") == [False] * 3


def test_both_outputs_are_in_the_log(program: Program, api: Api) -> None:
    program.eval("say('marked')")
    [pod] = program.pods()
    path = api.path("pods", pod["metadata"]["name"]) + "/log"
    wait_until(lambda: "err: marked" in api.http.get(path).text)
    assert "out: marked" in api.http.get(path).text.splitlines()


def test_the_program_is_asked_to_end_and_then_made_to(api: Api) -> None:
    obj = contract("stubborn", env=[{"name": "STUBBORN", "value": "yes"}])
    pod_spec(obj)["timeoutSeconds"] = 2
    program = deploy(api, obj)
    [pod] = program.pods()
    assert pod["spec"]["terminationGracePeriodSeconds"] == 2
    name = pod["metadata"]["name"]
    log = api.path("pods", name) + "/log"
    with api.http.stream("GET", log, params={"follow": "true"}) as lines:
        api.delete("services", "stubborn")
        # The log ends when the pod does.
        said = list(lines.iter_lines())
    assert "out: asked to end" in said
    wait_until(lambda: api.http.get(api.path("pods", name)).status_code == 404)


def test_who_asks_to_run_as_a_user_does(api: Api) -> None:
    if os.geteuid() != 0:
        pytest.skip("the platform must be root to run programs as others")
    context = {"runAsUser": 4711, "runAsGroup": 4712, "runAsNonRoot": True}
    program = deploy(api, contract("user", securityContext=context))
    assert program.eval("os.getresuid() + os.getresgid()") == [4711] * 3 + [4712] * 3
    assert program.eval("write('/tmp/of-4711')") == "written"
    assert program.eval("os.remove('/tmp/of-4711')") is None
    assert program.eval("write('/etc/hostname')") == "Permission denied"


def test_root_is_refused_where_it_is_not_to_be(api: Api) -> None:
    if os.geteuid() != 0:
        pytest.skip("the platform is not root itself")
    api.create("services", contract("nonroot", securityContext={"runAsNonRoot": True}))

    def refused() -> bool:
        for pod in Program(api, "nonroot").pods():
            for status in pod.get("status", {}).get("containerStatuses", ()):
                waiting = status["state"].get("waiting", {})
                if waiting.get("reason") == "CreateContainerConfigError":
                    return "runAsNonRoot" in waiting["message"]
        return False

    wait_until(refused)
    api.delete("services", "nonroot")


# Requests


def test_must_headers_of_the_first_hop(program: Program) -> None:
    headers = program.get("/").json()["headers"]
    assert headers["host"] == program.host
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-for"].split(",")[-1].strip() == "127.0.0.1"
    forwarded = dict(pair.split("=", 1) for pair in headers["forwarded"].split(";"))
    assert forwarded["for"].strip('"') == "127.0.0.1"
    assert forwarded["proto"] == "http"


def test_trace_headers_pass(program: Program) -> None:
    given = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "X-B3-TraceId": "80f198ee56343ba864fe8b2a57d3eff7",
    }
    headers = program.get("/", **given).json()["headers"]
    assert {name: headers[name.lower()] for name in given} == given


def test_requests_are_http_1_unless_the_port_is_named_h2c(program: Program, api: Api) -> None:
    assert program.get("/").json()["protocol"] == "HTTP/1.1"
    ports = [{"name": "h2c", "containerPort": 8080}]
    other = deploy(api, contract("prior", ports=ports))
    assert other.get("/").json()["protocol"] == "HTTP/2.0"


# Files


@pytest.mark.parametrize("path", ["/tmp", "/var/log", "/dev/shm"])
def test_must_be_writable(program: Program, path: str) -> None:
    place = f"{path}/of-the-contract"
    assert program.eval(f"write({place!r})") == "written"
    assert program.eval(f"os.remove({place!r})") is None


def test_logs_of_the_pod_are_not_the_machines(program: Program) -> None:
    assert program.eval("write('/var/log/own')") == "written"
    assert not Path("/var/log/own").exists()


@pytest.mark.parametrize("name", ["null", "zero", "full", "random", "urandom", "tty", "ptmx"])
def test_usual_devices(program: Program, name: str) -> None:
    assert program.eval(f"__import__('stat').S_ISCHR(os.stat('/dev/{name}').st_mode)") is True


def test_usual_file_systems(program: Program) -> None:
    points = program.eval("[l.split()[4] for l in open('/proc/self/mountinfo')]")
    assert {"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm"} <= set(points)
    assert program.eval("write('/dev/null')") == "written"


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/sys/kernel/uevent_seqnum"])
def test_kernel_settings_are_read_only(program: Program, path: str) -> None:
    assert program.eval(f"write({path!r})") in (READ_ONLY, "Permission denied")


def test_control_groups_are_read_only(program: Program) -> None:
    root = Path("/sys/fs/cgroup")
    groups = [root / name for name in ("cgroup.procs", "memory/cgroup.procs")]
    for path in groups:
        if path.exists():
            assert program.eval(f"write({str(path)!r}, '0')") == READ_ONLY


@pytest.mark.parametrize("path", ["/etc/hosts", "/etc/resolv.conf"])
def test_files_of_name_resolution(program: Program, path: str) -> None:
    assert program.eval(f"read({path!r})")
    assert program.eval("socket.gethostbyname('localhost')") == "127.0.0.1"


def test_the_pods_own_name_resolves(program: Program) -> None:
    assert program.eval("socket.gethostbyname(socket.gethostname())") == "127.0.0.1"


def test_volumes(api: Api) -> None:
    projected = {
        "sources": [
            {"configMap": {"name": "settings"}},
            {"secret": {"name": "keys"}},
            {"serviceAccountToken": {"path": "token", "audience": "tests"}},
        ]
    }
    volumes = [
        {"name": "config", "configMap": {"name": "settings"}},
        {"name": "secret", "secret": {"secretName": "keys", "defaultMode": 0o400}},
        {"name": "all", "projected": projected},
        {"name": "empty", "emptyDir": {}},
    ]
    mounts = [
        {"name": "config", "mountPath": "/etc/contract/config"},
        {"name": "config", "mountPath": "/contract.conf", "subPath": "colour"},
        {"name": "secret", "mountPath": "/etc/contract/secret"},
        {"name": "all", "mountPath": "/contract/all"},
        {"name": "empty", "mountPath": "/cache"},
    ]
    obj = contract("volumes", volumeMounts=mounts)
    pod_spec(obj)["volumes"] = volumes
    program = deploy(api, obj)
    files = {
        "/etc/contract/config/colour": "green",
        "/contract.conf": "green",
        "/etc/contract/secret/key": "sesame",
        "/contract/all/colour": "green",
        # Of sources that have the same file the later one has its way.
        "/contract/all/both": "sesame",
    }
    for path, content in files.items():
        assert program.eval(f"read({path!r})") == content
        if not path.endswith(".conf"):
            assert program.eval(f"write({path + '.new'!r})") == READ_ONLY
    assert program.eval("oct(os.stat('/etc/contract/secret/key').st_mode & 0o777)") == "0o400"
    assert program.eval("write('/cache/x')") == "written"
    claims = program.eval("read('/contract/all/token')").split(".")[1]
    payload = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert payload["aud"] == ["tests"]
    for path in ("/etc/contract", "/contract", "/contract.conf", "/cache/x"):
        assert not Path(path).exists()


# Limits


def test_more_memory_than_the_limit_ends_the_pod_which_is_replaced(api: Api) -> None:
    limited = contract("limited", resources={"limits": {"memory": "96Mi"}})
    program = deploy(api, limited)
    response = api.platform.request(program.host, "/eval?fill(300)")
    assert response.status_code >= 500

    def killed() -> bool:
        [pod] = program.pods()
        [status] = pod["status"]["containerStatuses"]
        last = status.get("lastState", {}).get("terminated", {})
        return (last.get("reason"), last.get("exitCode")) == ("OOMKilled", 137)

    wait_until(killed)
    wait_until(lambda: api.platform.request(program.host).status_code == 200)
    described = api.platform.kubectl(
        "describe", "pods", "-l", "serving.knative.dev/service=limited"
    )
    assert "OOMKilled" in described.stdout


def test_a_limit_on_the_cpus(api: Api) -> None:
    program = deploy(api, contract("slow", resources={"limits": {"cpu": "250m"}}))
    [pod] = program.pods()

    def limited() -> bool:
        return "/tidegate/" in program.eval("read('/proc/self/cgroup')")

    def told() -> bool:
        events = good(api.http.get(api.path("events")))["items"]
        about = [e for e in events if e["involvedObject"]["name"] == pod["metadata"]["name"]]
        return any(e["reason"] == "NotEnforced" and "limits.cpu" in e["message"] for e in about)

    wait_until(lambda: limited() or told())


def test_services_of_the_namespace_are_variables_for_who_asks(api: Api) -> None:
    spec = {"selector": {"app": "shop"}, "ports": [{"name": "web", "port": 8123}]}
    metadata = {"name": "my-shop"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    address = good(api.http.post(api.path("core-services"), json=body))["spec"]["clusterIP"]
    obj = contract("linked")
    pod_spec(obj)["enableServiceLinks"] = True

    environment = deploy(api, obj).eval("dict(os.environ)")

    assert environment["MY_SHOP_SERVICE_HOST"] == address
    assert environment["MY_SHOP_SERVICE_PORT_WEB"] == "8123"
    assert environment["MY_SHOP_PORT_8123_TCP"] == f"tcp://{address}:8123"
    silent = deploy(api, contract("unlinked")).eval("dict(os.environ)")
    assert not [name for name in silent if name.startswith("MY_SHOP")]
