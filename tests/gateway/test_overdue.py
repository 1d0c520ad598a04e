"""Who has waited too long for the first byte, without an HAProxy and in virtual time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tidegate.gateway.haproxy.streams import (
    Progress,
    Stream,
    has_watched,
    parse_progress,
    parse_streams,
)
from tidegate.gateway.overdue import Watch

_STREAM = Stream("0x1", "127.0.0.1:5", "u0001", "pod-a", 0, True, 0)
_WAITING = Progress(age=0.0, is_sent=True, is_answered=False)

_LINES = """\
0x3240: proto=? ts=00 epoch=0 age=20828d14h calls=1 rate=0 cpu=0 lat=0 rq[f=808000h,i=0,an=00h,ax=] rp[f=80008000h,i=0,an=00h,ax=] scf=[8,40h,fd=-1,rex=,wex=] scb=[8,449h,fd=46,rex=,wex=] exp= rc=0 c_exp=
0x3241: proto=tcpv4 src=127.0.0.1:46460 fe=again be=l0001 srv=li-a ts=00 epoch=0x5 age=1m2s calls=1 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=8000h,ax=] rp[f=80000000h,i=0,an=1400000h,ax=] scf=[8,402h,fd=47,rex=,wex=] scb=[8,1411h,fd=49,rex=4m58s,wex=] exp=4m58s rc=2 c_exp=
0x3242: proto=tcpv6 src=::1:46470 fe=again be=l0001 srv=<none> ts=00 epoch=0x5 age=9s calls=1 rate=0 cpu=0 lat=0 rq[f=808000h,i=16103,an=8000h,ax=] rp[f=80000000h,i=0,an=00h,ax=] scf=[8,402h,fd=48,rex=,wex=] scb=[2,1811h,fd=-1,rex=,wex=] exp=9m58s rc=0 c_exp=9m58s
0x3243: proto=tcpv4 src=127.0.0.1:46480 fe=again be=u0001 srv=park ts=00 epoch=0x5 age=9s calls=1 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=8000h,ax=] rp[f=80000000h,i=0,an=1400000h,ax=] scf=[8,402h,fd=47,rex=,wex=] scb=[8,1411h,fd=49,rex=,wex=] exp=4m58s rc=0 c_exp=
0x3244: proto=unix_stream src=unix:1 fe=park be=u0001 srv=un-a ts=00 epoch=0x5 age=9s calls=1 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=8000h,ax=] rp[f=80000000h,i=0,an=1400000h,ax=] scf=[8,402h,fd=47,rex=,wex=] scb=[8,1411h,fd=49,rex=,wex=] exp=4m58s rc=0 c_exp=
0x3246: proto=tcpv4 src=127.0.0.1:46490 fe=http be=u0001 srv=un-a ts=00 epoch=0x5 age=9s calls=1 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=8000h,ax=] rp[f=80000000h,i=0,an=1400000h,ax=] scf=[8,402h,fd=47,rex=,wex=] scb=[8,1411h,fd=49,rex=,wex=] exp=4m58s rc=0 c_exp=
0x3245: proto=unix_stream src=unix:1 fe=pods be=p0001 srv=l0001:li-a ts=00 epoch=0x5 age=9s calls=3 rate=1 cpu=0 lat=0 rq[f=1840000h,i=0,an=8000h,ax=] rp[f=80000000h,i=0,an=1400000h,ax=] scf=[8,482h,fd=50,rex=,wex=] scb=[8,1411h,fd=51,rex=23h59m,wex=] exp=23h59m rc=0 c_exp=
"""  # noqa: E501

_DETAIL = """\
now 1795458682.600000
0x3241: [23/Nov/2026:18:30:{seconds}] id=6 proto=tcpv4 source=127.0.0.1:46454
  flags=0xc4a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x7f, pend_pos=(nil)
  task=0x3254a260 (state=0x00 nice=0 calls=2 rate=0 exp=3s tid=0(1/0) age={age})
  txn=0x3254b030 flags=0x3000 meth=1 status=-1 req.st={req} rsp.st={rsp} req.f=0x4c rsp.f=0x00

"""


_FRONTENDS = """\
# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,\
status,
http,FRONTEND,,,7,9,1835,200,100,100,0,0,0,,,,,OPEN,
again,FRONTEND,,,{watched},1,7340,3,10,10,0,0,0,,,,,OPEN,
"""


@pytest.mark.parametrize(("watched", "expected"), [(0, False), (1, True), (10, True)])
def test_streams_are_asked_for_only_where_some_are_watched(watched: int, expected: bool) -> None:
    assert has_watched(_FRONTENDS.format(watched=watched)) == expected


def test_only_what_haproxy_does_not_end_by_itself_is_read() -> None:
    streams = {stream.id: stream for stream in parse_streams(_LINES)}

    assert set(streams) == {"0x3241", "0x3242", "0x3243", "0x3244"}
    assert [id_ for id_, stream in streams.items() if stream.is_with_pod] == ["0x3241", "0x3244"]
    assert streams["0x3241"] == Stream(
        "0x3241", "127.0.0.1:46460", "l0001", "li-a", retries=2, is_with_pod=True, age=62
    )


@pytest.mark.parametrize(
    ("seconds", "age", "exact"),
    [
        ("21.100000", "1s", 1.5),
        ("21.100000", "2s", 1.5),
        ("22.599000", "0s", 0.001),
        ("52.600000", "30s", 30.0),
        ("23.600000", "59s", 59.0),
        ("20.600000", "5m2s", 302.0),
    ],
)
def test_the_age_is_exact_though_haproxy_rounds_it(seconds: str, age: str, exact: float) -> None:
    text = _DETAIL.format(seconds=seconds, age=age, req="MSG_DONE", rsp="MSG_RPBEFORE")

    # 22.6 seconds past a minute, in whatever time zone.
    progress = parse_progress(text, 1795458682.6)["0x3241"]

    assert progress.age == pytest.approx(exact, abs=1e-6)
    assert progress.is_sent
    assert not progress.is_answered


def test_progress_tells_uploads_and_answers() -> None:
    def read(req: str, rsp: str) -> Progress:
        text = _DETAIL.format(seconds="21.1", age="1s", req=req, rsp=rsp)
        return parse_progress(text, 1795458682.6)["0x3241"]

    assert not read("MSG_DATA", "MSG_RPBEFORE").is_sent
    assert read("MSG_DONE", "MSG_DATA").is_answered
    assert read("MSG_TUNNEL", "MSG_TUNNEL").is_answered
    assert not parse_progress("No such session (use 'show sess').\n\n", 1.0)


def _busy(watch: Watch, now: float, *, waiting: int = 0, slot: str = "u0001") -> None:
    watch.use(slot, 10.0, in_flight=1, waiting=waiting, now=now)


def _idle(watch: Watch, now: float) -> None:
    watch.use("u0001", 10.0, in_flight=0, waiting=0, now=now)


def test_nothing_is_looked_at_while_nothing_can_be_overdue() -> None:
    watch = Watch(0.0)
    assert watch.next_look() == math.inf
    _idle(watch, 100.0)
    assert watch.next_look() == math.inf
    _busy(watch, 101.0)
    assert watch.next_look() == 110.0
    watch.look([], 110.0, 110.0)
    assert watch.next_look() == 120.0
    _idle(watch, 112.0)
    assert watch.next_look() == math.inf


def test_a_limit_of_none_is_never_looked_after() -> None:
    watch = Watch(0.0)
    watch.use("u0001", 0.0, in_flight=5, waiting=5, now=100.0)
    watch.look([_STREAM], 101.0, 101.0)
    assert watch.next_look() == math.inf


def test_a_request_is_overdue_when_its_own_time_is_over() -> None:
    watch = Watch(0.0)
    _idle(watch, 100.0)
    _busy(watch, 101.0)
    stream = replace(_STREAM, age=9)
    watch.look([stream], 110.0, 110.0)
    assert watch.candidates(110.0) == [stream]

    # It began at 100.9; the grace is for what has not been seen.
    assert not watch.judge(stream, replace(_WAITING, age=9.1), 110.0)
    assert watch.next_look() == pytest.approx(110.95)
    watch.look([replace(stream, age=10)], 110.96, 110.96)
    assert watch.judge(stream, replace(_WAITING, age=10.06), 110.96)
    assert watch.next_look() > 120


def test_what_waited_has_its_whole_time_at_the_pod() -> None:
    watch = Watch(0.0)
    _busy(watch, 100.0, waiting=3)
    assert watch.next_look() <= 100.25
    waiting = replace(_STREAM, is_with_pod=False, age=30)
    watch.look([waiting], 105.0, 105.0)
    assert watch.candidates(200.0) == []

    at_work = replace(_STREAM, age=31)
    watch.look([at_work], 105.2, 105.2)
    _busy(watch, 105.3)
    assert watch.candidates(115.1) == []
    assert watch.candidates(115.3) == [at_work]
    assert watch.judge(at_work, replace(_WAITING, age=41.0), 115.3)


def test_what_the_queue_let_go_between_looks_began_when_the_queue_was_empty() -> None:
    watch = Watch(0.0)
    _busy(watch, 100.0, waiting=1)
    _busy(watch, 101.0)
    stream = replace(_STREAM, age=5)
    watch.look([stream], 104.0, 104.0)
    assert not watch.judge(stream, replace(_WAITING, age=5.0), 104.0)
    assert watch.next_look() == 111.0


def test_a_retry_begins_anew() -> None:
    watch = Watch(0.0)
    _idle(watch, 100.0)
    _busy(watch, 100.0)
    watch.look([replace(_STREAM, age=5)], 105.0, 105.0)
    watch.look([replace(_STREAM, age=9, retries=1)], 109.0, 109.0)
    assert watch.candidates(118.9) == []
    assert len(watch.candidates(119.0)) == 1


@pytest.mark.parametrize(
    "progress",
    [
        None,
        replace(_WAITING, age=11.0, is_answered=True),
        replace(_WAITING, age=11.0, is_sent=False),
    ],
    ids=["ended", "answered", "not sent"],
)
def test_what_has_its_answer_or_is_still_sent_is_left_alone(progress: Progress | None) -> None:
    watch = Watch(0.0)
    _idle(watch, 100.0)
    _busy(watch, 100.0)
    watch.look([_STREAM], 111.0, 111.0)
    assert not watch.judge(_STREAM, progress, 111.0)
    assert watch.candidates(120.9) == []


def test_what_streams_is_not_asked_after_again_and_again() -> None:
    answered = replace(_WAITING, is_answered=True)
    watch = Watch(0.0)
    _idle(watch, 100.0)
    _busy(watch, 100.0)
    watch.look([replace(_STREAM, age=1)], 101.0, 101.0)
    streaming = replace(_STREAM, age=10)
    watch.look([streaming], 110.0, 110.0)
    assert not watch.judge(streaming, replace(answered, age=10.0), 110.0)
    watch.look([replace(_STREAM, age=100)], 200.0, 200.0)
    assert watch.candidates(200.0) == []

    # The next one on the same connection.
    following = replace(_STREAM, age=9)
    watch.look([following], 300.0, 300.0)
    assert watch.candidates(301.0) == [following]


def test_another_request_under_the_same_id_has_its_own_time() -> None:
    watch = Watch(0.0)
    _idle(watch, 100.0)
    _busy(watch, 100.0)
    watch.look([replace(_STREAM, age=0)], 100.5, 100.5)
    watch.look([replace(_STREAM, age=2)], 109.0, 109.0)
    assert watch.candidates(110.6) == []


def test_a_slot_that_belongs_to_nobody_is_forgotten() -> None:
    watch = Watch(0.0)
    _busy(watch, 100.0, waiting=1)
    watch.look([_STREAM], 101.0, 101.0)
    watch.forget("u0001")
    watch.look([_STREAM], 102.0, 102.0)
    assert watch.next_look() == math.inf
