"""Thousands of requests while everything goes wrong, judged by what the pods themselves saw.

    TORTURE_SECONDS=3600 pytest tests/torture     # what `make torture` does
    TORTURE_SEED=...                              # draws the same faults again

The seed fixes what is done, not when the machine gets to it: a failure may need several runs.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.platform import IMAGES, Platform, running_platform
from tests.torture.clients import Beat, Crowd, Habits, Pulse, Sent
from tests.torture.faults import MOST_CLIENTS, Faults
from tests.torture.judge import TIMEOUT_SECONDS, Fault, Seen, judge, read_reports

_SECONDS = float(os.environ.get("TORTURE_SECONDS", "45"))
_SEED = os.environ.get("TORTURE_SEED", f"{random.SystemRandom().getrandbits(32):08x}")
_LIMITS = {"one": 1, "four": 4}


@pytest.mark.timeout(_SECONDS * 1.5 + 240)
async def test_invariants_hold_whatever_happens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\ntorture: seed {_SEED}, {_SECONDS:.0f} s")
    reports = tmp_path / "reports"
    reports.mkdir()
    images = (IMAGES, Path(__file__).parent / "images")
    with running_platform(tmp_path / "platform", images=images) as platform:
        platform.configure_autoscaler(stable_window="6s", scale_to_zero_grace_period="1s")
        crowds = {
            name: Crowd(platform.gateway_port, name, Habits(), seed=_SEED) for name in _LIMITS
        }
        faults = Faults(platform, reports, crowds, _LIMITS, seed=_SEED)
        for name in _LIMITS:
            faults.deploy(name)
            platform.wait_ready(f"ksvc/{name}")
        pulse = Pulse(platform.gateway_port)
        began = time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(pulse.felt())
                for crowd in crowds.values():
                    await stack.enter_async_context(crowd.present(MOST_CLIENTS))
                    await crowd.resize(6)
                await faults.run(_SECONDS)
            _wait_for_zero(platform)
        finally:
            # Kept even when the torture itself breaks off: an hour is long.
            sent = [request for crowd in crowds.values() for request in crowd.sent]
            seen = read_reports(reports)
            evidence = _keep(tmp_path / "evidence.txt", sent, seen, faults.done, pulse.beats)
    breaches = judge(sent, seen, faults.done, _LIMITS, pulse.beats)
    with capsys.disabled():
        print(_summary(sent, seen, faults, time.monotonic() - began))
    assert not breaches, f"seed {_SEED}: {len(breaches)} breaches, see {evidence}\n" + "\n".join(
        breaches[:40]
    )
    reached = {one.number for one in seen}
    assert len(sent) > 20 * _SECONDS
    assert len(pulse.beats) > _SECONDS
    assert any(request.milliseconds > TIMEOUT_SECONDS * 1000 for request in sent)
    assert any(request.left and request.number not in reached for request in sent)
    assert any(request.left and request.number in reached for request in sent)
    kinds = {fault.kind for fault in faults.done}
    assert kinds == {"pod", "proxy", "control plane", "upgrade", "revision"}


def _wait_for_zero(platform: Platform) -> None:
    """Only counts that are right again let a service go to zero."""
    for name in _LIMITS:
        platform.kubectl(
            "wait", "--for=delete", "pods", "-l", f"serving.knative.dev/service={name}",
            "--timeout=90s", timeout=100,
        )  # fmt: skip


def _keep(
    path: Path, sent: list[Sent], seen: list[Seen], faults: list[Fault], beats: list[Beat]
) -> Path:
    """All that was noted, in the order in which it began."""
    dated = [
        *((request.sent, request) for request in sent),
        *((one.began, one) for one in seen),
        *((fault.at, fault) for fault in faults),
        *((beat.asked, beat) for beat in beats),
    ]
    path.write_text("".join(f"{at:.3f} {what}\n" for at, what in sorted(dated, key=lambda d: d[0])))
    return path


def _summary(sent: list[Sent], seen: list[Seen], faults: Faults, seconds: float) -> str:
    reached = {one.number for one in seen}
    left = [request for request in sent if request.left]
    statuses = Counter(request.status or request.error for request in sent if not request.left)
    kinds = Counter(fault.kind for fault in faults.done)
    most = {
        name: max((one.at_once for one in seen if one.process.startswith(f"{name}-")), default=0)
        for name in _LIMITS
    }
    return (
        f"torture: {len(sent)} requests in {seconds:.0f} s, {len({s.process for s in seen})} "
        f"processes of pods; answers {dict(statuses)}; {len(left)} clients left, "
        f"{sum(r.number not in reached for r in left)} of their requests reached no pod; "
        f"most at once {most}; faults {dict(kinds)}; HAProxy back after "
        f"{', '.join(f'{s * 1000:.0f}' for s in faults.proxy_back)} ms"
    )
