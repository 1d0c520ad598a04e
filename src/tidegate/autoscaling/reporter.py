"""Writes the status of PodAutoscalers beside the scaling, which must not wait for it."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.autoscaling.settings import Problem
from tidegate.autoscaling.status import Scale, status_for
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import Key, is_deleting, name_of, namespace_of, status_of, uid_of

_WORKERS = 4


class Reporter:
    """Reports what the scaler decided.

    Args:
        context: the autoscaler's own.
        outcome: the last scale of a revision and what was wrong with its settings; None for one
            that is not ours.
    """

    def __init__(
        self,
        context: Context,
        outcome: Callable[[Key], tuple[Scale, tuple[Problem, ...]] | None],
    ) -> None:
        self._client = context.client
        self._clock = context.clock
        self._outcome = outcome
        self._autoscalers = context.informers.of(POD_AUTOSCALERS)
        self._events = EventRecorder(context.client, "autoscaler", clock=context.clock)
        self._told: dict[Key, tuple[str, tuple[Problem, ...]]] = {}
        self.controller = Controller(
            "autoscaler-status", self._reconcile, clock=context.clock, workers=_WORKERS
        ).watch(self._autoscalers)

    async def _reconcile(self, key: Key) -> float | None:
        autoscaler = self._autoscalers.get(key.name, key.namespace)
        outcome = self._outcome(key)
        if autoscaler is None or is_deleting(autoscaler) or outcome is None:
            self._told.pop(key, None)
            return None
        scale, problems = outcome
        status = status_for(autoscaler, scale, now=rfc3339(self._clock.time()))
        if status != status_of(autoscaler):
            await self._client.patch(
                POD_AUTOSCALERS,
                name_of(autoscaler),
                {"status": status},
                namespace=namespace_of(autoscaler),
                subresource="status",
            )
        if self._told.get(key) != (uid_of(autoscaler), problems):
            self._told[key] = (uid_of(autoscaler), problems)
            for problem in problems:
                await self._events.warning(autoscaler, "InvalidAnnotation", str(problem))
        return None
