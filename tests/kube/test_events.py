"""Events: one for all repetitions, and never a reason for the work to fail."""

from __future__ import annotations

from pathlib import Path

from tests.support.api import running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.kube.clock import rfc3339
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import Object
from tidegate.kube.resources import EVENTS


def pod(namespace: str = "default") -> Object:
    metadata = {"name": "a", "namespace": namespace, "uid": "u", "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


async def test_what_is_repeated_is_counted(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with running_api(tmp_path) as api:
        recorder = EventRecorder(api.client(), "kubelet", clock=clock)
        began = rfc3339(clock.time())
        await recorder.warning(pod(), "BackOff", "it ends again and again")
        await clock.advance(60)
        await recorder.warning(pod(), "BackOff", "it ends again and again")
        await recorder.normal(pod(), "Started", "it runs")
        repeated, once = sorted(
            (await api.client().list(EVENTS, namespace="default")).items,
            key=lambda event: -event["count"],
        )
    assert (repeated["count"], repeated["type"]) == (2, "Warning")
    assert repeated["firstTimestamp"] == began
    assert repeated["lastTimestamp"] == rfc3339(clock.time())
    assert (once["count"], once["reason"]) == (1, "Started")


async def test_an_event_that_cannot_be_written_is_nobodys_failure(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        recorder = EventRecorder(api.client(), "kubelet", clock=VirtualClock())
        await recorder.normal(pod("no-such-namespace"), "Started", "it runs")
        assert not (await api.client().list(EVENTS)).items
