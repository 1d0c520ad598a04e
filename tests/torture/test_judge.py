"""The judge of the torture finds what it is there to find, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.torture.clients import Sent
from tests.torture.judge import Fault, Seen, judge, read_reports

_SENT = Sent("n", "one", 5, sent=10.0, ended=11.0, status=200, body="n 5 one-a\n", pod="one-a")
_SEEN = Seen("n", "one-a.7", at_once=1, began=10.1, ended=10.2)
_FAILED = replace(_SENT, status=502, body="", pod="")
_LEFT = replace(_SENT, status=0, body="", pod="", left=True)
_POD_KILLED = Fault("pod", 10.5, "one", "one-a.7")
_PROXY_KILLED = Fault("proxy", 10.5)


@pytest.mark.parametrize(
    ("sent", "seen", "faults"),
    [
        ([_SENT], [_SEEN], []),
        ([_LEFT], [], []),
        ([_LEFT], [replace(_SEEN, began=11.3)], []),
        ([_FAILED], [replace(_SEEN, ended=None)], [_POD_KILLED]),
        ([replace(_FAILED, status=0, error="ConnectionResetError")], [], [_PROXY_KILLED]),
    ],
)
def test_what_may_be_is_no_breach(sent: list[Sent], seen: list[Seen], faults: list[Fault]) -> None:
    assert judge(sent, seen, faults, {"one": 1}) == []


@pytest.mark.parametrize(
    ("sent", "seen", "faults", "breach"),
    [
        ([_SENT], [replace(_SEEN, at_once=2)], [], "held 2"),
        ([_SENT], [_SEEN, replace(_SEEN, process="one-b.8")], [], "2 times"),
        ([_LEFT], [replace(_SEEN, began=11.6)], [], "after its client left"),
        ([replace(_SENT, body="m 5 one-a\n")], [_SEEN], [], "was answered"),
        ([_SENT], [], [], "no pod has seen it"),
        ([_FAILED], [_SEEN], [], "no fault explains it"),
        ([_FAILED], [_SEEN], [replace(_POD_KILLED, at=9.0)], "no fault explains it"),
        ([_FAILED], [_SEEN], [replace(_POD_KILLED, service="four")], "no fault explains it"),
        ([_FAILED], [_SEEN], [replace(_POD_KILLED, process="one-b.8")], "no fault explains it"),
        ([_FAILED], [_SEEN], [_PROXY_KILLED], "no fault explains it"),
        ([replace(_FAILED, number=n) for n in "abc"], [], [_POD_KILLED], "may cost"),
    ],
)
def test_what_must_not_be_is_a_breach(
    sent: list[Sent], seen: list[Seen], faults: list[Fault], breach: str
) -> None:
    assert breach in " ".join(judge(sent, seen, faults, {"one": 1}))


def test_reports_tell_what_ended_and_what_was_cut(tmp_path: Path) -> None:
    (tmp_path / "one-a.7").write_text("S n 1 10.1\nE n 10.2\nS m 1 10.3\n")
    assert read_reports(tmp_path) == [_SEEN, Seen("m", "one-a.7", 1, 10.3, None)]
