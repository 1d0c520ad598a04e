"""How a running container is: its hook after the start, its startup probe, then the other two.

What a failure means is decided here: a container that is not alive is ended, and its runner starts
it again.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

from tidegate.kube.clock import Clock
from tidegate.kube.objects import Object
from tidegate.node.fields import grace_of, part
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.state import ContainerView
from tidegate.node.probes.checks import Target, check_of
from tidegate.node.probes.timing import Answer, Probe, ProbeTiming
from tidegate.node.runtime.contract import Container

# A hook has no time limit of its own; its container's start or end waits for it.
_HOOK_SECONDS = 600.0


class Report(Protocol):
    """Takes changes of a container's view; `urgent` when others wait for them."""

    def __call__(self, *, urgent: bool, **changes: bool) -> None: ...


class Health:
    """Watches one start of a container.

    Args:
        context: its pod.
        spec: its entry in the pod.
        container: what runs.
        target: where probes and hooks ask it.
        view: the container as its status shows it.
        report: told when it has started, is ready or is not.
    """

    def __init__(
        self,
        context: PodContext,
        spec: Object,
        container: Container,
        target: Target,
        *,
        view: Callable[[], ContainerView],
        report: Report,
    ) -> None:
        self._context = context
        self._host = context.host
        self._spec = spec
        self._container = container
        self._target = target
        self._view = view
        self._report = report
        self._unhealthy = asyncio.Event()

    async def run(self, *, hooked: bool) -> None:
        """Until cancelled.

        Args:
            hooked: its hook is still to be done.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probe(hooked=hooked))
            group.create_task(self._end_when_unhealthy())

    async def _probe(self, *, hooked: bool) -> None:
        if hooked and not await self._after_start():
            return
        if "startupProbe" in self._spec and not self._view().started:
            await self._wait_started()
        async with asyncio.TaskGroup() as group:
            for kind in ("readiness", "liveness"):
                if f"{kind}Probe" in self._spec:
                    group.create_task(self._probe_of(kind).run())

    async def _after_start(self) -> bool:
        """Do what is to be done right after the start; whether it was done. A failure ends it."""
        hook = part(part(self._spec, "lifecycle"), "postStart")
        answer = await run_hook(hook, self._target, clock=self._host.clock)
        if not answer.success:
            text = f"PostStartHook failed: {answer.message}"
            self._host.events.warning(self._context.pod, "FailedPostStartHook", text)
            self._unhealthy.set()
            return False
        ready = not is_probed(self._spec)
        self._report(urgent=ready, started="startupProbe" not in self._spec, ready=ready)
        return True

    async def _wait_started(self) -> None:
        started = asyncio.Event()
        probe = self._probe_of("startup", started)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(probe.run())
            await started.wait()
            asking.cancel()
        ready = "readinessProbe" not in self._spec
        self._report(urgent=ready, started=True, ready=ready)

    def _probe_of(self, kind: str, started: asyncio.Event | None = None) -> Probe:
        spec: Object = self._spec[f"{kind}Probe"]
        timing = ProbeTiming.of(spec)

        def on_change(healthy: bool) -> None:
            if kind == "readiness":
                if self._view().ready != healthy:
                    self._report(urgent=True, ready=healthy)
            elif not healthy:
                self._unhealthy.set()
            elif started is not None:
                started.set()

        def on_failure(message: str) -> None:
            text = f"{kind.capitalize()} probe failed: {message}"
            self._host.events.warning(self._context.pod, "Unhealthy", text)

        return Probe(
            timing,
            check_of(spec, self._target, timeout=timing.timeout),
            clock=self._host.clock,
            eager=kind != "liveness",
            healthy=self._view().ready if kind == "readiness" else kind == "liveness",
            on_change=on_change,
            on_failure=on_failure,
        )

    async def _end_when_unhealthy(self) -> None:
        await self._unhealthy.wait()
        text = f"Container {self._spec['name']} failed its probe, will be restarted"
        self._host.events.normal(self._context.pod, "Killing", text)
        self._report(urgent=True, ready=False)
        self._container.signal(signal.SIGTERM)
        await self._host.clock.sleep(grace_of(self._context.pod))
        self._container.signal(signal.SIGKILL)


def is_probed(spec: Object) -> bool:
    """Whether a container is ready only when a probe says so."""
    return any(f"{kind}Probe" in spec for kind in ("startup", "readiness"))


async def run_hook(
    hook: Object, target: Target, *, clock: Clock, limit: float = _HOOK_SECONDS
) -> Answer:
    """Do what a life-cycle hook says, for `limit` seconds at most."""
    if "sleep" in hook:
        await clock.sleep(min(float(part(hook, "sleep")["seconds"]), limit))
        return Answer(True)
    return await check_of(hook, target, timeout=min(limit, _HOOK_SECONDS))()
