"""The judge of the torture finds what it is there to find, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.torture.clients import Beat, Sent
from tests.torture.judge import TIMEOUT_SECONDS, Fault, Seen, judge, read_reports

_SENT = Sent("n", "one", 5, sent=10.0, ended=11.0, status=200, body="n 5 one-a\n", pod="one-a")
_SEEN = Seen("n", "one-a.7", at_once=1, began=10.1, ended=10.2, arrived=10.1)
_FAILED = replace(_SENT, status=502, body="", pod="")
_LEFT = replace(_SENT, status=0, body="", pod="", left=True)
_POD_KILLED = Fault("pod", 10.5, "one", "one-a.7")
_PROXY_KILLED = Fault("proxy", 10.5, until=10.6)
_LATE = replace(_SENT, status=504, body="", pod="", ended=10.0 + TIMEOUT_SECONDS)
_CUT_LATE = replace(_LATE, status=0, error="IncompleteReadError")
_BEATS = [Beat(asked=n / 10, answered=n / 10 + 0.01) for n in range(500)]
# Both of one revision; the second waits while the pod of the first has nothing to do.
_REFUSED = replace(_SENT, length=99, status=503, body="", pod="")
_KILLED_BEFORE = replace(_POD_KILLED, at=8.0)
_BEFORE = replace(_SEEN, number="m", began=9.8, ended=9.9, arrived=9.8)
_ASKED = replace(_SENT, number="m", body="m 5 one-a\n", sent=9.7, ended=9.9)
_WAITED = replace(_SENT, ended=21.0)
_TAKEN_LATE = replace(_SEEN, began=20.0, ended=20.9, arrived=20.0)


@pytest.mark.parametrize(
    ("sent", "seen", "faults"),
    [
        ([_SENT], [_SEEN], []),
        ([_LEFT], [], []),
        ([_LEFT], [replace(_SEEN, arrived=11.2)], []),
        ([_LEFT], [replace(_SEEN, began=14.0)], []),
        ([_LATE], [_SEEN], []),
        ([_LEFT], [replace(_SEEN, process="one-a.9", arrived=11.4)], [_POD_KILLED]),
        ([_ASKED, _WAITED], [_BEFORE, _TAKEN_LATE], [Fault("control plane", 9.0, until=11.0)]),
        ([_ASKED, _WAITED], [replace(_BEFORE, ended=15.0), _TAKEN_LATE], []),
        ([_ASKED, _WAITED], [replace(_BEFORE, process="one-b.8"), _TAKEN_LATE], []),
        ([_FAILED], [replace(_SEEN, ended=None)], [_POD_KILLED]),
        ([replace(_FAILED, status=0, error="ConnectionResetError")], [], [_PROXY_KILLED]),
        ([_REFUSED], [], [_POD_KILLED]),
        ([_REFUSED], [], [_KILLED_BEFORE, Fault("control plane", 7.5, until=10.5)]),
        ([_ASKED, replace(_WAITED, length=99)], [_BEFORE, _TAKEN_LATE], []),
    ],
)
def test_what_may_be_is_no_breach(sent: list[Sent], seen: list[Seen], faults: list[Fault]) -> None:
    assert judge(sent, seen, faults, {"one": 1}, _BEATS) == []


@pytest.mark.parametrize(
    ("sent", "seen", "faults", "breach"),
    [
        ([_SENT], [replace(_SEEN, at_once=2)], [], "held 2"),
        ([_SENT], [_SEEN, replace(_SEEN, process="one-b.8")], [], "2 times"),
        ([_LEFT], [replace(_SEEN, began=11.4, arrived=11.4)], [], "after its client left"),
        ([_LEFT], [replace(_SEEN, arrived=11.4)], [_POD_KILLED], "after its client left"),
        (
            [_LEFT],
            [replace(_SEEN, process="one-a.9", arrived=11.8)],
            [_POD_KILLED],
            "after its client left",
        ),
        ([replace(_LATE, ended=14.9)], [_SEEN], [], "no fault explains it"),
        ([_CUT_LATE], [_SEEN], [], "no fault explains it"),
        ([_ASKED, _WAITED], [_BEFORE, _TAKEN_LATE], [], "was idle for 10.000 s"),
        ([_ASKED, _WAITED], [_BEFORE, _TAKEN_LATE], [_POD_KILLED], "was idle for 10.000 s"),
        (
            [_ASKED, _WAITED],
            [_BEFORE, _TAKEN_LATE],
            [Fault("control plane", 1.0, until=2.0)],
            "was idle for 8.000 s",
        ),
        ([replace(_SENT, body="m 5 one-a\n")], [_SEEN], [], "was answered"),
        ([_SENT], [], [], "no pod has seen it"),
        ([_FAILED], [_SEEN], [], "no fault explains it"),
        ([_FAILED], [_SEEN], [replace(_POD_KILLED, at=9.0)], "no fault explains it"),
        ([_FAILED], [_SEEN], [replace(_POD_KILLED, service="four")], "no fault explains it"),
        ([_FAILED], [_SEEN], [replace(_POD_KILLED, process="one-b.8")], "no fault explains it"),
        ([_FAILED], [_SEEN], [_PROXY_KILLED], "no fault explains it"),
        ([replace(_FAILED, number=n) for n in "abc"], [], [_POD_KILLED], "may cost"),
        ([_REFUSED], [], [], "no fault explains it"),
        ([_REFUSED], [], [_KILLED_BEFORE], "no fault explains it"),
        ([replace(_REFUSED, length=0)], [], [_POD_KILLED], "no fault explains it"),
    ],
)
def test_what_must_not_be_is_a_breach(
    sent: list[Sent], seen: list[Seen], faults: list[Fault], breach: str
) -> None:
    breaches = judge(sent, seen, faults, {"one": 1}, _BEATS)
    assert breach in " ".join(breaches)


def test_a_busy_haproxy_is_given_the_time_it_takes_to_come_round() -> None:
    busy = [Beat(10.9, 11.0), Beat(11.1, 12.0), Beat(12.1, 12.2), Beat(12.3, 12.4)]
    in_time, late = (replace(_SEEN, arrived=at, began=at) for at in (12.44, 12.46))

    assert judge([_LEFT], [in_time], [], {"one": 1}, busy) == []
    assert "after HAProxy could know" in judge([_LEFT], [late], [], {"one": 1}, busy)[0]


def test_reports_tell_what_ended_and_what_was_cut(tmp_path: Path) -> None:
    (tmp_path / "one-a.7").write_text("S n 1 10.1 10.1\nE n 10.2\nS m 1 10.3 10.25\n")
    assert read_reports(tmp_path) == [_SEEN, Seen("m", "one-a.7", 1, 10.3, None, 10.25)]
