"""Containers as processes: forked from a template, signalled, adopted, ended with all theirs."""

# The tests poll other processes and read small files.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.images import make_image
from tests.support.virtual_clock import VirtualClock
from tests.support.waiting import eventually
from tidegate.kube.clock import SystemClock
from tidegate.node.images.environments import Environments
from tidegate.node.images.errors import BrokenImageError
from tidegate.node.images.store import Image, ImageStore
from tidegate.node.runtime.contract import Launch, StartError
from tidegate.node.runtime.isolation import Identity, Isolation, Limits, Mount
from tidegate.node.runtime.process.processes import ProcessName
from tidegate.node.runtime.process.runtime import ProcessContainer, ProcessRuntime
from tidegate.node.runtime.process.warm import WarmTemplate


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[ProcessRuntime]:
    runtime = ProcessRuntime(tmp_path, clock=SystemClock())
    task = asyncio.create_task(runtime.run())
    yield runtime
    for record in tmp_path.glob("pods/*/record.json"):
        container = await runtime.adopt(record.parent)
        assert container is not None
        container.signal(signal.SIGKILL)
        await container.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await runtime.shutdown()


async def pull(tmp_path: Path, *, program: str = "", extra: str = "") -> Image:
    make_image(tmp_path / "source", program=program, extra=extra)
    store = ImageStore(tmp_path, [tmp_path / "source"], environments=Environments(tmp_path))
    return await store.pull("web")


def launch(tmp_path: Path, image: Image, *argv: str, name: str = "one", **env: str) -> Launch:
    environment = {"PATH": "/usr/bin:/bin", **env}
    directory = tmp_path / "pods" / name
    return Launch(directory, image, argv, environment, image.rootfs, "test")


async def kill_template(runtime: ProcessRuntime) -> WarmTemplate:
    """Kill the only template, as it is known to be dead."""
    [warm] = runtime._warm.values()
    os.kill(warm.pid, signal.SIGKILL)
    await warm.wait_lost()
    return warm


async def another_template(runtime: ProcessRuntime, lost: WarmTemplate) -> None:
    """Wait until there is one in its stead."""
    await eventually(lambda: runtime._warm and lost not in runtime._warm.values())


def log_of(container: ProcessContainer) -> list[str]:
    lines = (container.directory / "log").read_text().splitlines()
    return [line.split(" ", 3)[3] for line in lines]


async def log_line(container: ProcessContainer, text: str) -> None:
    await eventually(lambda: text in log_of(container))


async def test_a_python_program_is_forked_with_its_modules_already_there(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(
        tmp_path,
        program="import sys\nprint('http.server' in sys.modules, __name__, sys.argv, flush=True)\n"
        "print('oops', file=sys.stderr)\nraise SystemExit(7)\n",
    )
    container = await runtime.start(launch(tmp_path, image, "python3", "main.py", "--listen"))
    ended = await container.wait()
    assert (ended.code, ended.signal, ended.known) == (7, 0, True)
    assert log_of(container) == ["True __main__ ['main.py', '--listen']", "oops"]
    tags = [line.split(" ")[1:3] for line in (container.directory / "log").read_text().splitlines()]
    assert tags == [["stdout", "F"], ["stderr", "F"]]


async def test_other_programs_are_executed(runtime: ProcessRuntime, tmp_path: Path) -> None:
    image = await pull(tmp_path)
    program = ("sh", "-c", "echo $GREETING; pwd; exit 3")
    container = await runtime.start(launch(tmp_path, image, *program, GREETING="hello"))
    assert (await container.wait()).code == 3
    assert log_of(container) == ["hello", str(image.rootfs)]


async def test_an_exception_shows_the_programs_frames_only(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path, program="def f():\n    return 1 / 0\nf()\n")
    container = await runtime.start(launch(tmp_path, image, "python3", "main.py"))
    assert (await container.wait()).code == 1
    log = log_of(container)
    assert log[-1] == "ZeroDivisionError: division by zero"
    assert not any("template.py" in line for line in log)


async def test_modules_and_code_run_as_with_python(runtime: ProcessRuntime, tmp_path: Path) -> None:
    image = await pull(tmp_path, program="print('as a module', __name__)")
    module = await runtime.start(launch(tmp_path, image, "python3", "-m", "main", name="m"))
    code = await runtime.start(
        launch(tmp_path, image, "python", "-c", "import sys; print(sys.argv)", "x", name="c")
    )
    await asyncio.gather(module.wait(), code.wait())
    assert log_of(module) == ["as a module __main__"]
    assert log_of(code) == ["['-c', 'x']"]


async def test_an_unknown_program_is_a_clear_error(runtime: ProcessRuntime, tmp_path: Path) -> None:
    image = await pull(tmp_path)
    with pytest.raises(StartError, match='"nosuch": executable file not found'):
        await runtime.start(launch(tmp_path, image, "nosuch"))


async def test_a_module_that_cannot_be_preloaded_is_a_clear_error(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path)
    (image.rootfs / "http").mkdir()
    (image.rootfs / "http" / "__init__.py").write_text("raise ImportError('no such model')")
    with pytest.raises(BrokenImageError, match="no such model"):
        await runtime.prepare(image)


async def test_an_environment_that_is_gone_is_a_clear_error(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = dataclasses.replace(await pull(tmp_path), environment=tmp_path / "gone")
    with pytest.raises(BrokenImageError, match=r"cannot be started: .*gone/bin/python"):
        await runtime.prepare(image)


async def test_a_signal_reaches_the_whole_group_and_shows_in_the_exit(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path)
    container = await runtime.start(
        launch(tmp_path, image, "sh", "-c", "sleep 1000 & echo $!; wait")
    )
    await eventually(lambda: log_of(container))
    child = int(log_of(container)[0])
    container.signal(signal.SIGKILL)
    ended = await container.wait()
    assert (ended.code, ended.signal) == (137, 9)
    # The kernel ends the processes of a group one after the other.
    await eventually(lambda: not _is_alive(child))


# Twice forked and in a session of its own, as daemons do.
DAEMON = "setsid sh -c 'sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait' &"


async def daemon_of(path: Path) -> int:
    await eventually(path.exists)
    return int(path.read_text())


async def gone(pid: int) -> None:
    await eventually(lambda: not _is_alive(pid))


async def test_a_daemon_is_its_containers_child_and_ends_with_it(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path)
    script = f"({DAEMON.format(tmp_path / 'pid')}) ; sleep 1000"
    container = await runtime.start(launch(tmp_path, image, "sh", "-c", script))
    pid = await daemon_of(tmp_path / "pid")
    status = Path(f"/proc/{pid}/status").read_text()
    parent = int(status.partition("PPid:\t")[2].split()[0])
    assert f"PPid:\t{container.process.pid}\n" in Path(f"/proc/{parent}/status").read_text()
    container.signal(signal.SIGTERM)
    await container.wait()
    await gone(pid)


async def test_a_daemon_of_a_container_whose_template_died_ends_with_it(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path)
    script = f"({DAEMON.format(tmp_path / 'pid')}) ; sleep 1000"
    asked = Isolation(mounts=(Mount(tmp_path, "/tidegate-x"),))
    wanted = dataclasses.replace(launch(tmp_path, image, "sh", "-c", script), isolation=asked)
    container = await runtime.start(wanted)
    pid = await daemon_of(tmp_path / "pid")
    await another_template(runtime, await kill_template(runtime))
    container.signal(signal.SIGKILL)
    await container.wait()
    await gone(pid)


def _is_alive(pid: int) -> bool:
    """Whether the process still has a program; one that waits to be reaped has none."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_container_is_adopted_by_the_next_control_plane(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path)
    first = await runtime.start(launch(tmp_path, image, "sleep", "1000"))
    other = ProcessRuntime(tmp_path, clock=SystemClock())
    second = await other.adopt(first.directory)
    assert second is not None
    assert second.container_id == first.container_id
    second.signal(signal.SIGTERM)
    assert (await second.wait()).signal == signal.SIGTERM
    assert await other.adopt(tmp_path / "pods" / "nosuch") is None


async def test_containers_survive_the_death_of_their_template_and_go_on_logging(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(
        tmp_path,
        program="import signal, time\nsignal.signal(signal.SIGUSR1, lambda *_: print('still'))\n"
        "print('up')\nwhile True: time.sleep(1)\n",
    )
    container = await runtime.start(launch(tmp_path, image, "python3", "main.py"))
    await log_line(container, "up")
    warm = await kill_template(runtime)
    os.kill(container.process.pid, signal.SIGUSR1)
    await log_line(container, "still")
    assert [w.pid for w in runtime._warm.values()] != [warm.pid]
    container.signal(signal.SIGKILL)
    ended = await container.wait()
    assert (ended.code, ended.known) == (137, False)


async def test_a_warm_start_takes_milliseconds(runtime: ProcessRuntime, tmp_path: Path) -> None:
    image = await pull(tmp_path, program="import time; print(time.time())")
    await runtime.prepare(image)
    delays: list[float] = []
    for number in range(5):
        asked = time.time()
        container = await runtime.start(
            launch(tmp_path, image, "python3", "main.py", name=f"p{number}")
        )
        await container.wait()
        delays.append(float(log_of(container)[0]) - asked)
    assert min(delays) < 0.1


def test_a_pid_alone_does_not_name_a_process() -> None:
    assert not ProcessName(os.getpid(), 1).is_alive()


async def test_only_so_many_idle_templates_stay_warm(tmp_path: Path) -> None:
    runtime = ProcessRuntime(tmp_path, clock=SystemClock(), keep=1)
    task = asyncio.create_task(runtime.run())
    store = ImageStore(tmp_path, [tmp_path / "source"], environments=Environments(tmp_path))
    for name in ("one", "two", "three"):
        make_image(tmp_path / "source", name)
        await runtime.prepare(await store.pull(name))
    await eventually(lambda: len(runtime._warm) <= 1)
    assert len(runtime._warm) == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await runtime.shutdown()
    assert not list((tmp_path / "run").glob("*.sock"))


async def test_the_images_used_last_are_warm_again_after_a_restart(tmp_path: Path) -> None:
    image = await pull(tmp_path)
    clock = VirtualClock()
    for life in range(2):
        runtime = ProcessRuntime(tmp_path, clock=clock)
        task = asyncio.create_task(runtime.run())
        if life == 0:
            await runtime.prepare(image)
        else:
            await clock.advance(10)
        await eventually(lambda runtime=runtime: runtime._warm)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await runtime.shutdown()


async def test_a_template_that_dies_before_the_answer_is_replaced(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path, program="print('there')")
    await runtime.prepare(image)
    [warm] = runtime._warm.values()
    os.kill(warm.pid, signal.SIGSTOP)
    starting = asyncio.create_task(runtime.start(launch(tmp_path, image, "python3", "main.py")))
    await eventually(lambda: warm._answers)
    os.kill(warm.pid, signal.SIGKILL)
    container = await starting
    assert (await container.wait()).code == 0
    assert log_of(container) == ["there"]


async def test_output_is_kept_whole_in_order_and_by_stream(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path)
    script = 'for i in $(seq 1 20000); do echo "line $i of the output"; done; printf "no newline"'
    container = await runtime.start(launch(tmp_path, image, "sh", "-c", script))
    await container.wait()
    expected = [f"line {i} of the output" for i in range(1, 20001)]
    await log_line(container, "no newline")
    assert log_of(container) == [*expected, "no newline"]


async def test_a_program_gets_nothing_of_the_template(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(
        tmp_path,
        program="import os, signal, sys, random\n"
        "print(sorted(os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))\n"
        "print(os.getpid() == os.getsid(0) == os.getpgid(0))\n"
        "print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
        "print(sorted(k for k in os.environ if k != 'LC_CTYPE'), sys.stdin.read() == '')\n",
    )
    container = await runtime.start(launch(tmp_path, image, "python3", "main.py", COLOUR="red"))
    assert (await container.wait()).code == 0
    descriptors, *rest = log_of(container)
    # The fourth is the listing's own.
    assert descriptors == "['0', '1', '2'] 4"
    assert rest == ["True", "True", "['COLOUR', 'PATH'] True"]


async def test_where_nothing_can_be_mounted_a_container_runs_and_it_is_said(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(tmp_path, program="import os; print(os.path.exists('/tidegate-x'))")
    await runtime.prepare(image)
    [warm] = runtime._warm.values()
    # As it is on a machine that forbids namespaces.
    warm.ability, warm.reason = "", "unshare: Operation not permitted"
    asked = Isolation(
        mounts=(Mount(tmp_path, "/tidegate-x"),), identity=Identity(read_only_root=True)
    )
    wanted = dataclasses.replace(launch(tmp_path, image, "python3", "main.py"), isolation=asked)
    container = await runtime.start(wanted)
    assert (await container.wait()).code == 0
    assert log_of(container) == ["False"]
    assert container.not_enforced == (
        "volumes are at $TIDEGATE_ROOT<mountPath> only: unshare: Operation not permitted",
        "the root file system is writable: unshare: Operation not permitted",
    )


async def test_a_template_that_dies_takes_no_limit_with_it(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = await pull(
        tmp_path,
        program="import signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: globals().update(x=bytearray(200 << 20)))\n"
        "print('up')\nwhile True: time.sleep(1)\n",
    )
    limited = launch(tmp_path, image, "python3", "main.py")
    container = await runtime.start(dataclasses.replace(limited, limits=Limits(memory=64 << 20)))
    await log_line(container, "up")
    await another_template(runtime, await kill_template(runtime))
    os.kill(container.process.pid, signal.SIGUSR1)
    ended = await container.wait()
    assert (ended.code, ended.out_of_memory) == (137, True)
