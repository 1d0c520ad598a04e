"""`tidegate logs`: the platform's own log, or that of a service's pods."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from tidegate.apis.serving import SERVICES as KNATIVE_SERVICES
from tidegate.cli.records.settings import Settings, load
from tidegate.kube.errors import NotFound, UserError
from tidegate.kube.objects import Object, name_of
from tidegate.kube.remote import RemoteClient, connect
from tidegate.kube.resources import PODS


def show(data_dir: Path, service: str, *, follow: bool, tail: int) -> None:
    """Write to stdout; with `follow` until interrupted or until every pod has ended."""
    settings = load(data_dir)
    if service:
        namespace, _, name = service.rpartition("/")
        if "/" in namespace or not name:
            raise UserError(f"{service!r} is no service: give NAME, or NAMESPACE/NAME")
        asyncio.run(_service_logs(settings, namespace or "default", name, follow, tail))
        return
    if not settings.log_file.is_file():
        raise UserError(
            f"there is no log in {settings.log_file}: a platform that runs on a terminal writes"
            " there instead"
        )
    command = ["tail", f"--lines={tail}", *(["--follow=name"] if follow else [])]
    ended = subprocess.run([*command, str(settings.log_file)], check=False).returncode
    # Who reads no more ends it by SIGPIPE.
    if ended not in (0, -signal.SIGPIPE):
        raise UserError(f"cannot read {settings.log_file}: tail ended with {ended}")


async def _service_logs(
    settings: Settings, namespace: str, name: str, follow: bool, tail: int
) -> None:
    async with connect(settings.kubeconfig) as client:
        selector = f"serving.knative.dev/service={name}"
        pods = await client.list(PODS, namespace=namespace, label_selector=selector)
        if not pods.items:
            await _explain(client, namespace, name)
        async with asyncio.TaskGroup() as group:
            for pod in pods.items:
                for container in pod["spec"]["containers"]:
                    group.create_task(_container_log(client, pod, container["name"], follow, tail))


async def _explain(client: RemoteClient, namespace: str, name: str) -> NoReturn:
    """Say why there are no pods.

    Raises:
        UserError: always.
    """
    try:
        await client.get(KNATIVE_SERVICES, name, namespace=namespace)
    except NotFound as error:
        raise UserError(f"there is no service {namespace}/{name}: see `tidegate status`") from error
    raise UserError(f"the service {namespace}/{name} has no pods now: a request would start one")


async def _container_log(
    client: RemoteClient, pod: Object, container: str, follow: bool, tail: int
) -> None:
    prefix = f"{name_of(pod)} ".encode()
    pending = b""
    log = client.stream_log(
        name_of(pod),
        namespace=pod["metadata"]["namespace"],
        container=container,
        follow=follow,
        tail_lines=tail,
    )
    async for chunk in log:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            sys.stdout.buffer.write(prefix + line + b"\n")
        sys.stdout.buffer.flush()
    if pending:
        sys.stdout.buffer.write(prefix + pending + b"\n")
        sys.stdout.buffer.flush()
