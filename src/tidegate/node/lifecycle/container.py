"""One container of a pod: created, started, watched, started again, stopped.

A runner that is cancelled leaves its container running: the next control plane's runner adopts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import replace
from typing import Any

from tidegate.kube.errors import ApiError, TidegateError
from tidegate.kube.objects import Object, name_of, namespace_of, uid_of
from tidegate.kube.waiting import within
from tidegate.node.fields import part, parts
from tidegate.node.images.errors import ImageError
from tidegate.node.images.store import Image
from tidegate.node.lifecycle.backoff import BackOff
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.health import Health, is_probed, run_hook
from tidegate.node.lifecycle.launching import Launcher
from tidegate.node.lifecycle.pulling import ImagePull
from tidegate.node.lifecycle.security import unenforced
from tidegate.node.lifecycle.sources import ConfigError, MountError
from tidegate.node.lifecycle.state import ContainerView, Running, Terminated, Waiting
from tidegate.node.lifecycle.termination import last_words
from tidegate.node.probes.checks import Target
from tidegate.node.runtime.contract import Container, Exit, Launch, StartError


class ContainerRunner:
    """Runs one container until it is done for good.

    Args:
        context: its pod.
        spec: the entry of `spec.containers` or `spec.initContainers`.
        init: it is an init container: success ends it, whatever the restart policy, unless it is
            a sidecar (`restartPolicy: Always`), which runs beside the containers.
    """

    def __init__(self, context: PodContext, spec: Object, *, init: bool = False) -> None:
        self._context = context
        self._host = context.host
        self._spec = spec
        self._name = str(spec["name"])
        self._policy = _policy(context.pod)
        self.is_sidecar = init and spec.get("restartPolicy") == "Always"
        if self.is_sidecar:
            self._policy = "Always"
        elif init and self._policy != "Never":
            self._policy = "OnFailure"
        self._attempt = 0
        self._container: Container | None = None
        self._moved = asyncio.Event()
        self._hooked = False
        self._target: Target | None = None
        self._configs = BackOff(free=0, base=2.0)
        self._crashes = BackOff(free=1)
        self._launcher = Launcher(context, spec)
        image = str(spec.get("image") or "")
        self._pull = ImagePull(
            context,
            image,
            never=spec.get("imagePullPolicy") == "Never",
            failed=self._wait_for_image,
        )
        self.view = ContainerView(
            self._name, image, state=self._creating(), sidecar=self.is_sidecar
        )

    async def run(self) -> None:
        """Until it is done for good; when cancelled, the container is left alone."""
        while True:
            if self._container is None:
                await self._start()
            if self._container is not None and self._target is not None:
                await self._supervise(self._container, self._target)
            if not self._starts_again():
                self._set(urgent=True, done=True, ready=self._succeeded())
                return
            await self._wait_to_start_again()

    async def wait_started(self) -> None:
        """Wait until a sidecar has started, so that what comes after it may."""
        while not self.view.initialized:
            self._moved.clear()
            await self._moved.wait()

    async def stop(self, grace: float) -> None:
        """Ask it to end, and end it after `grace` seconds; returns when it has ended."""
        container = self._container
        if container is None or isinstance(self.view.state, Terminated):
            return
        self._host.events.normal(self._context.pod, "Killing", f"Stopping container {self._name}")
        deadline = self._host.clock.monotonic() + grace
        await self._before_stop(grace)
        container.signal(signal.SIGTERM)
        left = deadline - self._host.clock.monotonic()
        if not await within(left, container.wait(), clock=self._host.clock):
            container.signal(signal.SIGKILL)
        await self._ended(container, await container.wait())

    # Adoption

    async def adopt(self) -> None:
        """Find again what an earlier control plane has started; before `run`."""
        attempts = self._context.directory.attempts(self._name)
        if not attempts:
            return
        runtime, directory = self._host.runtime, self._context.directory
        self._attempt = attempts[-1]
        last: Terminated | None = None
        if self._attempt > 0:
            before = await runtime.adopt(directory.attempt(self._name, self._attempt - 1))
            last = await self._terminated(before, self._attempt - 1) if before else None
        place = directory.attempt(self._name, self._attempt)
        container = await runtime.adopt(place)
        if container is None:
            # It died between the decision to start it and the start.
            self.view = replace(self.view, last=last, restarts=self._attempt)
            return
        self._take(container, await asyncio.to_thread(self._launcher.recall, self._attempt))
        known = self._known_status(container)
        self._set(
            urgent=False,
            state=Running(container.started_at),
            last=last,
            restarts=self._attempt,
            started=bool(known.get("started")) or "startupProbe" not in self._spec,
            ready=bool(known.get("ready")) or not is_probed(self._spec),
            image_id=str(known.get("imageID") or ""),
            container_id=container.container_id,
        )

    def _known_status(self, container: Container) -> Object:
        # What was ready stays ready: an adopted pod must not lose its traffic.
        status = part(self._context.pod, "status")
        for kind in ("containerStatuses", "initContainerStatuses"):
            for known in parts(status, kind):
                if known.get("containerID") == container.container_id:
                    return known
        return {}

    # Start

    async def _start(self) -> None:
        """Start it, over whatever is missing for as long as it is; a start that fails is an end."""
        launch, target = await self._prepared()
        asked = self._host.clock.time()
        starting = asyncio.ensure_future(self._host.runtime.start(launch))
        try:
            container = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Once asked for, a container must be known, or nobody would end it.
            with contextlib.suppress(TidegateError):
                self._take(await starting, target)
            raise
        except (StartError, ImageError) as error:
            self._start_failed(str(error), asked)
            return
        self._take(container, target)
        events = self._host.events
        events.normal(self._context.pod, "Created", f"Created container: {self._name}")
        events.normal(self._context.pod, "Started", f"Started container {self._name}")
        missing = [*container.not_enforced, *unenforced(self._context.pod, self._spec)]
        if missing:
            text = f"Container {self._name} runs without: {'; '.join(missing)}"
            events.warning(self._context.pod, "NotEnforced", text)
        self._hooked = bool(part(part(self._spec, "lifecycle"), "postStart"))
        ready = not self._hooked and not is_probed(self._spec)
        self._set(
            urgent=ready,
            state=Running(container.started_at),
            restarts=self._attempt,
            started=not self._hooked and "startupProbe" not in self._spec,
            ready=ready,
            image_id=launch.image.image_id,
            container_id=container.container_id,
        )

    async def _prepared(self) -> tuple[Launch, Target]:
        """All that a start needs, as soon as it is there."""
        image = await self._pulled()
        while True:
            try:
                return await self._launcher.launch(image, self._attempt)
            except MountError as error:
                await self._missing("FailedMount", str(error), self._creating())
            except (ConfigError, ApiError) as error:
                state = Waiting("CreateContainerConfigError", str(error))
                await self._missing("Failed", f"Error: {error}", state)
            self._set(urgent=False, state=self._creating())
            # Nothing holds an image from which nothing has been started.
            if not await asyncio.to_thread(image.rootfs.is_dir):
                image = await self._pulled()

    async def _pulled(self) -> Image:
        self._set(urgent=False, state=self._creating())
        image = await self._pull.pull()
        self._set(urgent=False, state=self._creating(), image_at=self._host.clock.time())
        return image

    def _take(self, container: Container, target: Target) -> None:
        self._container = container
        prefix = container.command_prefix(target.working_dir)
        self._target = replace(target, prefix=prefix)

    async def _missing(self, reason: str, message: str, state: Waiting) -> None:
        self._host.events.warning(self._context.pod, reason, message)
        self._set(urgent=True, state=state)
        await self._host.clock.sleep(self._configs.next_delay())

    def _wait_for_image(self, state: Waiting) -> None:
        self._set(urgent=True, state=state)

    def _creating(self) -> Waiting:
        kind = "PodInitializing" if self._context.pod["spec"].get("initContainers") else ""
        return Waiting(kind or "ContainerCreating")

    def _start_failed(self, message: str, at: float) -> None:
        self._host.events.warning(self._context.pod, "Failed", f"Error: {message}")
        ended = Terminated(128, 0, "StartError", message, at, at, "")
        self._set(urgent=True, state=ended, started=False, ready=False)

    # Run

    async def _supervise(self, container: Container, target: Target) -> None:
        health = Health(
            self._context,
            self._spec,
            container,
            target,
            view=lambda: self.view,
            report=self._set,
        )
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(health.run(hooked=self._hooked))
            ended = await container.wait()
            watching.cancel()
        self._hooked = False
        await self._ended(container, ended)

    async def _before_stop(self, grace: float) -> None:
        hook = part(part(self._spec, "lifecycle"), "preStop")
        if not hook or self._target is None or grace <= 0:
            return
        answer = await run_hook(hook, self._target, clock=self._host.clock, limit=grace)
        if not answer.success:
            self._host.events.warning(
                self._context.pod, "FailedPreStopHook", f"PreStopHook failed: {answer.message}"
            )

    # End

    async def _ended(self, container: Container, ended: Exit) -> None:
        if isinstance(self.view.state, Terminated):
            return
        state = await self._terminated(container, self._attempt, ended)
        self._set(urgent=True, state=state, started=False, ready=False)

    async def _terminated(
        self, container: Container, attempt: int, ended: Exit | None = None
    ) -> Terminated:
        ended = ended or await container.wait()
        said = ""
        if not ended.failure:
            place = self._context.directory.attempt(self._name, attempt)
            said = await asyncio.to_thread(last_words, place, self._spec, failed=ended.code != 0)
        return _terminated(container, ended, said)

    def _succeeded(self) -> bool:
        state = self.view.state
        return isinstance(state, Terminated) and state.exit_code == 0 and self._policy != "Always"

    def _starts_again(self) -> bool:
        state = self.view.state
        failed = isinstance(state, Terminated) and state.exit_code != 0
        return self._policy == "Always" or (self._policy == "OnFailure" and failed)

    async def _wait_to_start_again(self) -> None:
        state = self.view.state
        if not isinstance(state, Terminated):
            return
        delay = self._crashes.next_delay(ran=state.finished_at - state.started_at)
        self._container = None
        self._attempt += 1
        if delay == 0:
            self._set(urgent=False, last=state)
            return
        pod = self._context.pod
        whole = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        message = f"back-off {delay:g}s restarting failed container={self._name} pod={whole}"
        self._host.events.warning(
            pod,
            "BackOff",
            f"Back-off restarting failed container {self._name} in pod {whole}",
        )
        self._set(urgent=True, last=state, state=Waiting("CrashLoopBackOff", message))
        await self._host.clock.sleep(delay)

    def _set(self, *, urgent: bool, **changes: Any) -> None:
        self.view = replace(self.view, **changes)
        if self.view.ready and not self.view.ready_at:
            self.view = replace(self.view, ready_at=self._host.clock.time())
        self._moved.set()
        self._context.changed(urgent)


def _policy(pod: Object) -> str:
    return str(pod["spec"].get("restartPolicy") or "Always")


def _terminated(container: Container, ended: Exit, message: str) -> Terminated:
    reason = "Completed" if ended.code == 0 else "Error"
    if not ended.known:
        reason = "ContainerStatusUnknown"
        unseen = "The container could not be located when its end was to be recorded"
        message = message or unseen
    elif ended.out_of_memory:
        reason = "OOMKilled"
    elif ended.failure:
        reason, message = "StartError", ended.failure
    return Terminated(
        exit_code=ended.code,
        signal=ended.signal,
        reason=reason,
        message=message,
        started_at=container.started_at,
        finished_at=ended.finished_at,
        container_id=container.container_id,
    )
