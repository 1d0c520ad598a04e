"""client-go, the library of controllers written in Go; `make test-client-go` builds what uses it.

The program `client_go` beside this file says in lines of JSON what it saw.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.objects import service
from tests.e2e.platform import Platform, running_platform

CACHE = Path(__file__).parents[2] / ".cache" / "client-go"
PROGRAM = CACHE / "client_go"
JSON = {"CONTENT_TYPE": "application/json"}  # its own choice is protobuf

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason="the program is not built: make test-client-go builds it"
)

Facts = dict[str, dict[str, Any]]
Run = Callable[..., Facts]


@pytest.fixture
def run(kubeconfig: Path, namespace: str) -> Run:
    """Runs a scenario; what it reported, by what it is about."""

    def run(scenario: str, *, given: Any = None, environment: Mapping[str, str] | None = None):
        done = subprocess.run(
            [PROGRAM, scenario, namespace],
            env={**os.environ, **(environment or {}), "KUBECONFIG": str(kubeconfig)},
            input="" if given is None else json.dumps(given) + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return facts_of(done.stdout)

    return run


def facts_of(output: str) -> Facts:
    lines = [json.loads(line) for line in output.splitlines()]
    return {line["what"]: line for line in lines}


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "main", "image": "counter"}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


@pytest.fixture
def box(platform: Platform, namespace: str) -> str:
    container = {
        "name": "main",
        "image": "counter",
        "env": [{"name": "GREETING", "value": "hello"}],
        "ports": [{"containerPort": 8080}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "box", "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    platform.apply(json.dumps(pod))
    platform.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/box", "--timeout=60s")
    return "box"


@pytest.mark.parametrize("encoding", [{}, JSON], ids=["protobuf", "json"])
@pytest.mark.parametrize("streaming", ["true", "false"], ids=["watch-list", "list-and-watch"])
def test_shared_informers(run: Run, encoding: Mapping[str, str], streaming: str) -> None:
    environment = {**encoding, "KUBE_FEATURE_WatchListClient": streaming}
    facts = run("informers", given=deployment("web"), environment=environment)
    assert facts["synced"]["before"] == "before"
    journal = facts["journal"]
    expected = ["add before", "add during", "update during", "delete during"]
    assert journal["configMaps"] == expected
    assert journal["phases"] == ["Running"] * 2
    told = [entry.split()[0] for entry in journal["pods"]]
    assert (told.count("add"), told.count("delete")) == (2, 2)
    # One stream for what there is and what comes, or a list and a watch.
    assert (len(journal["lists"]), len(journal["streams"])) == (
        (0, 1) if streaming == "true" else (1, 0)
    )


def test_dynamic_informer_of_knative_services(run: Run, namespace: str) -> None:
    journal = run("dynamic", given=service("hello", namespace))["journal"]
    assert journal["url"].startswith(f"http://hello.{namespace}.")
    assert (journal["first"], journal["last"]) == ("add hello", "delete hello")


def test_a_client_too_late_for_its_version(run: Run) -> None:
    gone = run("gone", environment={"KUBE_FEATURE_WatchListClient": "false"})["gone"]
    # The reflector's second list, after its watch was told 410, has what the first was too old for.
    assert (gone["expired"], gone["lists"]) == (True, 2)


def test_lists_in_pages(run: Run) -> None:
    pages = run("pages")["pages"]
    assert pages["sizes"] == [500, 500, 200]
    # All pages are of the moment of the first; what came later is in the next list.
    assert (pages["versions"], pages["names"], pages["late"]) == (1, 1200, False)
    assert pages["pager"] == 1201


@pytest.mark.parametrize("encoding", [{}, JSON], ids=["protobuf", "json"])
def test_work_queue_and_conflicts(run: Run, encoding: Mapping[str, str]) -> None:
    queue = run("queue", environment=encoding)["queue"]
    assert (queue["copies"], queue["counter"]) == (10, str(queue["writes"]))
    assert queue["conflicts"] > 0


def test_leader_election(run: Run) -> None:
    leaders = run("leaders")["leaders"]
    assert leaders["order"] == ["releases", "dies", "last"]
    assert (leaders["holder"], leaders["transitions"]) == ("last", 2)
    # Who lets go is followed at once, who dies only when the lease is over.
    assert leaders["waits"][2] > 2.5


def test_typed_apply(run: Run) -> None:
    apply = run("apply")["apply"]
    assert apply["conflict"]
    assert apply["data"] == {"b": "2", "c": "2"}
    assert apply["extracted"] == {"b": "2", "c": "2"}
    assert (apply["image"], "Tested" in apply["conditions"]) == ("counter", True)


def test_discovery_and_mapping(run: Run) -> None:
    found = run("discovery")["discovery"]
    assert found["version"] == "1.32"
    assert (found["resource"], found["scope"]) == (
        "serving.knative.dev/v1, Resource=services",
        "namespace",
    )
    assert found["shortcuts"] == {
        "ksvc": "services.serving.knative.dev",
        "po": "pods",
        "deploy": "deployments.apps",
        "cm": "configmaps",
        "kpa": "podautoscalers.autoscaling.internal.knative.dev",
    }
    assert found["groupVersions"] > 10
    assert found["openapi"] > 1000


@pytest.mark.parametrize("scenario", ["exec", "exec-spdy"])
def test_commands(run: Run, box: str, scenario: str) -> None:
    facts = run(scenario)
    assert (facts["streams"]["out"], facts["streams"]["errs"]) == ("hello\n", "oops\n")
    assert (facts["code"]["typed"], facts["code"]["code"]) == (True, 7)
    assert (facts["input"]["size"], facts["input"]["error"]) == (3 << 20, "<nil>")
    assert facts["missing"]["failed"]


@pytest.mark.parametrize("scenario", ["forward", "forward-spdy"])
def test_port_forward(run: Run, box: str, scenario: str) -> None:
    forwarded = run(scenario)["forwarded"]
    assert forwarded["codes"] == [200] * 5
    assert (forwarded["errors"], forwarded["ended"]) == ("", "<nil>")


def test_in_a_pod(platform: Platform, namespace: str) -> None:
    container = {
        "name": "main",
        "image": "counter",
        "command": [str(PROGRAM), "in-cluster", namespace],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "inside", "namespace": namespace},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    platform.apply(json.dumps(pod))
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}=0"
    done = platform.kubectl(
        "wait", "-n", namespace, ended, "pod/inside", "--timeout=60s", check=False
    )
    log = platform.kubectl("logs", "-n", namespace, "inside").stdout
    assert done.returncode == 0, log
    facts = facts_of(log)["in-cluster"]
    mounted = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert facts["user"] == f"system:serviceaccount:{namespace}:default"
    assert (facts["tokenFile"], facts["caFile"]) == (f"{mounted}/token", f"{mounted}/ca.crt")
    assert "is forbidden" in facts["denied"]


def test_event_recorders(run: Run) -> None:
    events = run("events")["events"]
    assert events["counts"] == {"Equal": 5, "Similar": 14, "Modern": 0}
    assert events["combined"].startswith("(combined from similar events): other words")
    # Nine of their own, the rest in one.
    assert events["names"] == 10
    assert (events["series"], events["note"]) == (2, "in the newer form")
    assert events["controller"] == "client-go.example.com/test"


def test_rate_and_typed_errors(run: Run) -> None:
    rate = run("rate")["rate"]
    assert rate["seconds"] > 0.9  # twenty over the burst, at twenty a second
    assert (rate["notFound"], rate["invalid"], rate["transport"]) == (True, True, False)


@pytest.mark.parametrize("encoding", [{}, JSON], ids=["protobuf", "json"])
def test_other_clients(run: Run, encoding: Mapping[str, str]) -> None:
    others = run("clients", environment=encoding)["others"]
    assert (others["name"], others["listed"]) == ("plain", True)
    assert (others["scaled"], others["again"]) == (1, 0)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with running_platform(tmp_path_factory.mktemp("mortal")) as running:
        yield running


@pytest.fixture
def watching(mortal: Platform) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [PROGRAM, "restart", "default"],
        env={**os.environ, "KUBECONFIG": str(mortal.data_dir / "kubeconfig")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_informer_outlives_the_api_server(
    mortal: Platform, watching: subprocess.Popen[str]
) -> None:
    assert watching.stdin is not None
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["what"] == "synced"
    expected: list[str] = []
    for number in range(3):
        name = f"m{number}"
        mortal.kubectl("create", "configmap", name, "--from-literal=a=b")
        mortal.kubectl("patch", "configmap", name, "-p", '{"data":{"a":"c"}}')
        mortal.end_control_plane()
        mortal.up()
        # Before the informer is back, or after: all the same.
        mortal.kubectl("create", "configmap", f"after-{name}")
        mortal.kubectl("delete", "configmap", name)
        for entry in (f"add {name}", f"add after-{name}", f"delete {name}"):
            watching.stdin.write(entry + "\n")
            watching.stdin.flush()
            line = watching.stdout.readline()
            assert line, f"it saw no {entry}"
            assert json.loads(line)["entry"] == entry
            expected.append(entry)
    watching.stdin.close()
    journal = json.loads(watching.stdout.readline())
    # Nothing twice, nothing out of the air.
    assert sorted(entry for entry in journal["entries"] if "update" not in entry) == sorted(
        expected
    )
    assert journal["cached"] == 3 + 1
    assert watching.wait(10) == 0
