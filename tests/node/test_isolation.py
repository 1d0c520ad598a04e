"""What a pod's program finds at its paths, who it is, and what it may use: by real pods."""

# The tests look at the machine's own files.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.node.images import make_image
from tests.node.running import READINESS, Stage, hasty, inside, main_of, waiting_of
from tidegate.kube.objects import Object
from tidegate.kube.resources import CONFIG_MAPS
from tidegate.node.runtime.process import sandbox

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="who may become whom is root's to say")


@pytest.fixture
def theatre(shell: Stage) -> Stage:
    return shell


async def config(theatre: Stage, **data: str) -> None:
    await theatre.client.create(
        CONFIG_MAPS,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "one", "namespace": "default"},
            "data": data,
        },
    )


def mounting(*mounts: tuple[str, str] | tuple[str, str, Object], **more: Any) -> Object:
    given = [
        {"name": item[0], "mountPath": item[1], **(item[2] if len(item) == 3 else {})}
        for item in mounts
    ]
    return {**READINESS, "volumeMounts": given, **more}


def groups_problem(**limits: Any) -> str:
    try:
        sandbox.remove_group(sandbox.make_group(f"test-{os.getpid()}", **limits))
    except OSError as error:
        return str(error)
    return ""


NO_CPU_GROUPS = groups_problem(cores=1.0)
NO_MEMORY_GROUPS = groups_problem(memory=1 << 20)
CONF = {"name": "conf", "configMap": {"name": "one"}}
EMPTY: Object = {"name": "empty", "emptyDir": {}}


async def test_volumes_are_at_their_paths_and_the_machine_stays_as_it_is(theatre: Stage) -> None:
    await config(theatre, **{"a.conf": "alpha"})
    container = mounting(
        ("conf", "/etc/tidegate-test/conf"),
        ("conf", "/tidegate-test.conf", {"subPath": "a.conf"}),
        ("empty", "/tidegate-test/cache"),
        ("empty", "/srv/tidegate-test", {"subPath": "deep", "readOnly": True}),
        ("empty", "/tmp"),
    )
    await theatre.create("a", container=container, volumes=[CONF, EMPTY])
    pod = await theatre.ready("a")
    read = "open({!r}).read()"
    assert await inside(pod, read.format("/etc/tidegate-test/conf/a.conf")) == "alpha"
    assert await inside(pod, read.format("/tidegate-test.conf")) == "alpha"
    assert await inside(pod, "open('/tidegate-test/cache/new', 'w').write('x')") == 1
    assert await inside(pod, "open('/tmp/new2', 'w').write('x')") == 1
    assert "new2" in await inside(pod, "os.listdir('/tidegate-test/cache')")
    read_only = "OSError: Read-only file system"
    for path in ("/etc/tidegate-test/conf/x", "/srv/tidegate-test/x"):
        assert await inside(pod, f"open({path!r}, 'w')") == read_only
    assert await inside(pod, "open('/tidegate-test.conf', 'w')") == read_only
    token = read.format("/var/run/secrets/kubernetes.io/serviceaccount/token")
    assert await inside(pod, token) == "token-of-default-default"
    for path in ("/etc/tidegate-test", "/tidegate-test", "/tidegate-test.conf", "/tmp/new2"):
        assert not os.path.lexists(path), path


async def test_a_new_path_beside_a_mounted_one_keeps_it(theatre: Stage) -> None:
    await config(theatre, **{"a.conf": "alpha"})
    # The machine has /srv, but nothing in it: the second and third need a layer over it.
    container = mounting(
        ("empty", "/srv"), ("conf", "/srv/tidegate-test/conf"), ("empty", "/opt/tidegate-test/x")
    )
    await theatre.create("a", container=container, volumes=[CONF, EMPTY])
    pod = await theatre.ready("a")
    assert await inside(pod, "open('/srv/tidegate-test/conf/a.conf').read()") == "alpha"
    assert await inside(pod, "open('/opt/tidegate-test/x/new', 'w').write('x')") == 1
    assert "new" in await inside(pod, "os.listdir('/srv')")
    # Devices below /dev are mounts of their own and are still there.
    assert await inside(pod, "os.listdir('/dev/pts')") == os.listdir("/dev/pts")  # noqa: PTH208


@hasty
async def test_what_changes_in_a_config_map_changes_in_the_pod(theatre: Stage) -> None:
    await config(theatre, **{"a.conf": "alpha", "b.conf": "beta"})
    container = mounting(("conf", "/etc/conf"), ("conf", "/b.conf", {"subPath": "b.conf"}))
    await theatre.create("a", container=container, volumes=[CONF])
    pod = await theatre.ready("a")
    data = {"data": {"a.conf": "changed", "b.conf": "changed"}}
    await theatre.client.patch(CONFIG_MAPS, "one", data, namespace="default")

    async def changed() -> bool:
        return await inside(pod, "open('/etc/conf/a.conf').read()") == "changed"

    await theatre.api.eventually(changed, timeout=30)
    assert await inside(pod, "open('/etc/conf/b.conf').read()") == "changed"
    # A single file stays as it was mounted.
    assert await inside(pod, "open('/b.conf').read()") == "beta"


async def test_host_name_and_hosts(theatre: Stage) -> None:
    aliases = [{"ip": "127.0.0.9", "hostnames": ["far.example"]}]
    await theatre.create("a", container=READINESS, hostAliases=aliases, hostname="other")
    pod = await theatre.ready("a")
    assert await inside(pod, "socket.gethostname()") == "other"
    assert await inside(pod, "os.environ['HOSTNAME']") == "other"
    assert await inside(pod, "socket.gethostbyname('far.example')") == "127.0.0.9"
    assert await inside(pod, "socket.gethostbyname('other')") == "127.0.0.1"


async def test_another_user(theatre: Stage) -> None:
    await config(theatre, **{"a.conf": "alpha"})
    context = {"runAsUser": 4711, "runAsGroup": 4712, "fsGroup": 4713, "supplementalGroups": [5]}
    container = mounting(("conf", "/etc/conf"), ("empty", "/cache"))
    await theatre.create("a", container=container, volumes=[CONF, EMPTY], securityContext=context)
    pod = await theatre.ready("a")
    assert await inside(pod, "os.getresuid()") == [4711] * 3
    assert await inside(pod, "os.getresgid()") == [4712] * 3
    assert sorted(await inside(pod, "os.getgroups()")) == [5, 4713]
    assert await inside(pod, "open('/etc/conf/a.conf').read()") == "alpha"
    assert await inside(pod, "open('/cache/x', 'w').write('x')") == 1
    assert await inside(pod, "os.stat('/cache/x').st_gid") == 4713
    for place in ("HOME", "TMPDIR"):
        assert await inside(pod, f"open(os.environ['{place}'] + '/x', 'w').write('x')") == 1
    assert await inside(pod, "open('/dev/stdout', 'w').write('x')") == 1
    assert await inside(pod, "open('/etc/shadow')") == "PermissionError: Permission denied"
    # A program that is executed has the same user and finds its libraries.
    program = "[sys.executable, '-c', 'import os; print(os.getuid())']"
    answer = await inside(pod, f"subprocess.check_output({program}, text=True)")
    assert answer == "4711\n"


async def test_fewer_rights(theatre: Stage) -> None:
    context = {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    }
    container = mounting(("empty", "/var/cache/x"), securityContext=context)
    await theatre.create("a", container=container, volumes=[EMPTY])
    pod = await theatre.ready("a")
    text = await inside(pod, "open('/proc/self/status').read()")
    status = dict(line.split(":\t") for line in text.splitlines())
    assert status["NoNewPrivs"] == "1"
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {1 << 10}
    for path in ("/etc/x", "/x", "/tmp/x", "image.toml"):
        assert await inside(pod, f"open({path!r}, 'w')") == "OSError: Read-only file system"
    for path in ("'/var/cache/x/y'", "os.environ['HOME'] + '/y'", "'/dev/null'"):
        assert await inside(pod, f"open({path}, 'w').write('x')") == 1


async def test_kernel_settings_cannot_be_written(theatre: Stage) -> None:
    await theatre.create("a", container=READINESS)
    pod = await theatre.ready("a")
    for path in ("/proc/sys/kernel/panic", "/sys/kernel/profiling"):
        assert await inside(pod, f"open({path!r}, 'r+')") == "OSError: Read-only file system"


async def test_run_as_non_root_is_kept_to(theatre: Stage) -> None:
    await theatre.create("a", securityContext={"runAsNonRoot": True})
    pod = await theatre.until("a", waiting_of)
    pod = await theatre.until(
        "a", lambda p: waiting_of(p).get("reason") == "CreateContainerConfigError"
    )
    assert "runAsNonRoot" in waiting_of(pod)["message"]
    context = {"runAsNonRoot": True, "runAsUser": 4711}
    await theatre.create("b", container={**READINESS, "securityContext": context})
    assert await inside(await theatre.ready("b"), "os.getuid()") == 4711


async def test_commands_and_probes_run_inside(theatre: Stage) -> None:
    await config(theatre, **{"a.conf": "alpha"})
    probe = {
        "readinessProbe": {
            "exec": {"command": ["sh", "-c", "test $(id -u) = 4711 && grep alpha /probe/a.conf"]},
            "periodSeconds": 1,
            "timeoutSeconds": 10,
        }
    }
    container = {
        **mounting(("conf", "/probe"), securityContext={"runAsUser": 4711, "runAsGroup": 4711}),
        **probe,
    }
    await theatre.create("a", container=container, volumes=[CONF])
    await theatre.ready("a")
    commands = theatre.lives[-1].node.commands
    asked = ("sh", "-c", "id -u; cat /probe/a.conf; echo; hostname")
    async with commands.run("default", "a", "main", asked, stdin=False, tty=False) as command:
        output = b""
        while data := await command.read(1):
            output += data
        assert await command.wait() == 0
    assert output.decode().split() == ["4711", "alpha", "a"]


async def test_who_uses_more_memory_than_allowed_is_killed(theatre: Stage) -> None:
    container = {
        "command": ["python3", "-c", "x = bytearray(200 << 20); import time; time.sleep(600)"],
        "resources": {"limits": {"memory": "64Mi"}},
    }
    await theatre.create("a", container=container, restartPolicy="Never")
    pod = await theatre.until("a", lambda p: main_of(p)["state"].get("terminated"))
    ended = main_of(pod)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"], ended["signal"]) == ("OOMKilled", 137, 9)
    assert pod["status"]["phase"] == "Failed"


async def test_memory_of_children_counts_and_that_of_the_template_does_not(theatre: Stage) -> None:
    make_image(
        theatre.images,
        "heavy",
        program="import heavy, os, subprocess, sys, time\n"
        "if os.environ.get('GROW'):\n"
        "    subprocess.run([sys.executable, '-c', 'x = bytearray(200 << 20); "
        "import time; time.sleep(600)'])\n"
        "time.sleep(600)\n",
        extra="",
    )
    image = theatre.images / "heavy"
    (image / "heavy.py").write_text("DATA = bytearray(100 << 20)\n")
    manifest = (image / "image.toml").read_text().replace('"json"', '"json", "heavy"')
    (image / "image.toml").write_text(manifest)
    limited = {"image": "heavy", "resources": {"limits": {"memory": "96Mi"}}}
    await theatre.create("still", container=limited)
    grow = {**limited, "env": [{"name": "GROW", "value": "1"}]}
    await theatre.create("growing", container=grow, restartPolicy="Never")
    pod = await theatre.until("growing", lambda p: main_of(p)["state"].get("terminated"))
    assert main_of(pod)["state"]["terminated"]["reason"] == "OOMKilled"
    # By then the other one has been looked at several times.
    still = await theatre.get("still")
    assert (main_of(still)["restartCount"], "running" in main_of(still)["state"]) == (0, True)


# Pages of files in memory belong to no process: whoever looks at processes cannot see them.
FILLS_A_FILE = """
import time
while "/tidegate/" not in open("/proc/self/cgroup").read():
    time.sleep(0.01)
with open("/dev/shm/tidegate-test-fills", "wb") as file:
    for _ in range(128):
        file.write(bytes(1 << 20))
time.sleep(600)
"""


@pytest.mark.skipif(bool(NO_MEMORY_GROUPS), reason=f"no limit of memory: {NO_MEMORY_GROUPS}")
@pytest.mark.parametrize("child", [False, True], ids=["itself", "its-child"])
async def test_the_kernel_kills_who_fills_more_memory_than_allowed(
    theatre: Stage, child: bool
) -> None:
    run = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {FILLS_A_FILE!r}])"
    container = {
        "command": [
            "python3",
            "-c",
            f"{run}\nimport time; time.sleep(600)" if child else FILLS_A_FILE,
        ],
        "resources": {"limits": {"memory": "64Mi"}},
    }
    try:
        await theatre.create("a", container=container, restartPolicy="Never")
        pod = await theatre.until("a", lambda p: main_of(p)["state"].get("terminated"))
    finally:
        Path("/dev/shm/tidegate-test-fills").unlink(missing_ok=True)
    ended = main_of(pod)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"], ended["signal"]) == ("OOMKilled", 137, 9)
    assert pod["status"]["phase"] == "Failed"


async def test_limits_of_cpu_and_the_kernels_choice(theatre: Stage) -> None:
    resources = {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"memory": "512Mi"}}
    await theatre.create("a", container={**READINESS, "resources": resources})
    pod = await theatre.ready("a")
    if NO_CPU_GROUPS:
        event = await theatre.event("NotEnforced", "limits.cpu")
        assert event["type"] == "Warning"
    else:

        async def limited() -> bool:
            return "/tidegate/" in await inside(pod, "open('/proc/self/cgroup').read()")

        # No start waits for it.
        await theatre.api.eventually(limited)
        # Half a second of work takes a second, less the first period's share.
        assert await inside(pod, "spin(0.5)") > 0.8
    score = int(await inside(pod, "open('/proc/self/oom_score_adj').read()"))
    assert 900 < score < 1000


async def test_a_container_that_cannot_be_entered_says_why(theatre: Stage) -> None:
    # A volume that is a directory, where the machine has a file.
    container = mounting(("empty", "/etc/passwd"))
    await theatre.create("a", container=container, volumes=[EMPTY], restartPolicy="Never")
    pod = await theatre.until("a", lambda p: main_of(p)["state"].get("terminated"))
    ended = main_of(pod)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "/etc/passwd" in ended["message"]


async def test_what_does_not_hold_is_said_in_an_event(theatre: Stage) -> None:
    volume = {"name": "empty", "emptyDir": {"sizeLimit": "1Mi"}}
    await theatre.create("a", container=mounting(("empty", "/cache")), volumes=[volume])
    await theatre.ready("a")
    event = await theatre.event("NotEnforced")
    assert event["type"] == "Warning"
    assert "Container main runs without: emptyDir.sizeLimit" in event["message"]


async def test_many_at_once(theatre: Stage) -> None:
    names = [f"p{number}" for number in range(8)]
    await asyncio.gather(*(theatre.create(name, container=READINESS) for name in names))
    pods = await asyncio.gather(*(theatre.ready(name) for name in names))
    hosts = await asyncio.gather(*(inside(pod, "socket.gethostname()") for pod in pods))
    assert list(hosts) == names
