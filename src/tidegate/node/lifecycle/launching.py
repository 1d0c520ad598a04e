"""What a container is started with, and what must be remembered of it for its probes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.kube.objects import Object, namespace_of
from tidegate.node.capacity import machine_memory
from tidegate.node.fields import parts
from tidegate.node.images.store import Image
from tidegate.node.lifecycle import environment, mounting
from tidegate.node.lifecycle.asked_ports import ports_beside
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.directory import write_private
from tidegate.node.lifecycle.limits import limits_of
from tidegate.node.lifecycle.security import identity_of
from tidegate.node.lifecycle.service_links import service_links
from tidegate.node.lifecycle.sources import Sources
from tidegate.node.probes.checks import Target
from tidegate.node.runtime.contract import Launch, Terminal
from tidegate.node.runtime.isolation import Identity, Isolation, Mount


@dataclass(frozen=True)
class Launcher:
    """Prepares the starts of one container.

    Attributes:
        context: its pod.
        spec: its entry in the pod.
    """

    context: PodContext
    spec: Object

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    async def launch(self, image: Image, attempt: int) -> tuple[Launch, Target]:
        """One start. Raises ConfigError for what is missing, and ApiError."""
        context, spec, host = self.context, self.spec, self.context.host
        identity = identity_of(context.pod, spec, own_user=os.geteuid())
        limits = limits_of(context.pod, spec, machine_memory=machine_memory())
        await context.volumes.make(context.pod)
        await context.ensure_ports(spec, image.manifest.ports)
        image_ports = ports_beside(context.pod, spec, image.manifest.ports)
        ports = environment.port_variables(spec, image_ports, context.placement.ports)
        values = await environment.variables(
            context.pod,
            spec,
            base={
                **await service_links(host.client, context.pod),
                **environment.base_variables(image),
                **self._platform_variables(),
            },
            fixed={**ports, **self._gpu_variables()},
            sources=Sources(host.client, namespace_of(context.pod)),
            node_name=host.node_name,
        )
        directory = context.directory.attempt(self.name, attempt)
        mounts = await asyncio.to_thread(self._make_mounts, directory, values)
        launch = Launch(
            directory=directory,
            image=image,
            argv=environment.command_line(spec, image, values),
            env=values,
            working_dir=environment.working_directory(
                spec, image, [mount.target for mount in mounts] if host.runtime.mounts else []
            ),
            title=self.name,
            isolation=self._isolation(image, mounts, identity),
            limits=limits,
            terminal=_terminal(spec),
        )
        await asyncio.to_thread(self._remember, launch)
        return launch, self._target(values, launch.working_dir)

    def _make_mounts(self, attempt: Path, values: dict[str, str]) -> list[Mount]:
        pod, directory = self.context.pod, self.context.directory
        attempt.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounting.make_usual_files(pod, directory, attempt)
        own = mounting.volume_mounts(pod, self.spec, directory, values)
        taken = {mount.target for mount in own}
        usual = mounting.usual_mounts(self.spec, directory, attempt)
        mounts = [*own, *(mount for mount in usual if mount.target not in taken)]
        if not self.context.host.runtime.mounts:
            mounting.link(directory.root(self.name), mounts)
        return mounts

    def _isolation(self, image: Image, mounts: list[Mount], identity: Identity) -> Isolation:
        context = self.context
        private = (context.directory.home, context.directory.tmp)
        if mounting.pod_users_differ(context.pod, os.geteuid()):
            for path in private:
                path.chmod(0o1777)
        return Isolation(
            mounts=tuple(mounts),
            visible=(image.rootfs, image.environment, Path(sys.base_prefix), *private),
            writable=private,
            hostname=mounting.hostname_of(context.pod),
            identity=identity,
        )

    def recall(self, attempt: int) -> Target:
        """Where an earlier start's probes go; blocks, so call it in a thread."""
        directory = self.context.directory.attempt(self.name, attempt)
        try:
            raw: dict[str, Any] = json.loads((directory / "launch.json").read_bytes())
            return self._target(raw["env"], Path(raw["working_dir"]))
        except (OSError, ValueError, KeyError):
            return self._target({}, directory)

    def _platform_variables(self) -> dict[str, str]:
        context = self.context
        mounts = context.host.runtime.mounts
        root = Path("/") if mounts else context.directory.root(self.name)
        terminal = {"TERM": "xterm"} if self.spec.get("tty") else {}
        return {
            **terminal,
            "HOME": str(context.directory.home),
            "TMPDIR": str(context.directory.tmp),
            "HOSTNAME": mounting.hostname_of(context.pod),
            "KUBERNETES_SERVICE_HOST": context.host.api_host,
            "KUBERNETES_SERVICE_PORT": str(context.host.api_port),
            "TIDEGATE_ROOT": str(root),
            "SERVICE_ACCOUNT_DIR": str(root / mounting.SERVICE_ACCOUNT_PATH.lstrip("/")),
        }

    def _gpu_variables(self) -> dict[str, str]:
        # Always set: a pod without a GPU must not see those of others.
        gpus = self.context.placement.gpus
        return {"CUDA_VISIBLE_DEVICES": ",".join(str(index) for index in gpus)}

    def _target(self, values: dict[str, str], working_dir: Path) -> Target:
        ports = parts(self.spec, "ports")
        names = {str(port["name"]): int(port["containerPort"]) for port in ports if "name" in port}
        return Target(dict(self.context.placement.ports), names, values, working_dir)

    def _remember(self, launch: Launch) -> None:
        launch.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.context.directory.prune(self.name)
        content = {"env": dict(launch.env), "working_dir": str(launch.working_dir)}
        write_private(launch.directory / "launch.json", json.dumps(content).encode())


def _terminal(spec: Object) -> Terminal:
    stdin = bool(spec.get("stdin"))
    return Terminal(stdin, stdin and bool(spec.get("stdinOnce")), bool(spec.get("tty")))
