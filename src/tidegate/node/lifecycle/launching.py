"""What a container is started with, and what must be remembered of it for its probes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.kube.objects import Object, name_of, namespace_of
from tidegate.node.fields import parts
from tidegate.node.images.store import Image
from tidegate.node.lifecycle import environment
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.directory import write_private
from tidegate.node.lifecycle.sources import Sources
from tidegate.node.probes.checks import Target
from tidegate.node.runtime.contract import Launch


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
        await context.volumes.make(context.pod)
        await context.ensure_ports(spec, image.manifest.ports)
        ports = environment.port_variables(spec, image.manifest.ports, context.placement.ports)
        values = await environment.variables(
            context.pod,
            spec,
            base={**environment.base_variables(image), **self._platform_variables()},
            fixed={**ports, **self._gpu_variables()},
            sources=Sources(host.client, namespace_of(context.pod)),
            node_name=host.node_name,
        )
        launch = Launch(
            directory=context.directory.attempt(self.name, attempt),
            image=image,
            argv=environment.command_line(spec, image, values),
            env=values,
            working_dir=environment.working_directory(spec, image),
            title=self.name,
        )
        await asyncio.to_thread(self._remember, launch)
        return launch, self._target(values, launch.working_dir)

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
        values = {
            "HOME": str(context.directory.home),
            "TMPDIR": str(context.directory.tmp),
            "HOSTNAME": name_of(context.pod),
            "KUBERNETES_SERVICE_HOST": context.host.api_host,
            "KUBERNETES_SERVICE_PORT": str(context.host.api_port),
            "TIDEGATE_ROOT": str(context.volumes.link(self.spec)),
        }
        token_dir = context.volumes.service_account_dir(context.pod, self.spec)
        if token_dir is not None:
            values["SERVICE_ACCOUNT_DIR"] = str(token_dir)
        return values

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
