"""The conversation between `up -d` and the platform it starts."""

from __future__ import annotations

import os

import pytest

from tidegate.cli.process.readiness import READY, Announcer, StartError, environment_for, stages


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> tuple[int, Announcer]:
    read_end, write_end = os.pipe()
    for name, value in environment_for(write_end).items():
        monkeypatch.setenv(name, value)
    return read_end, Announcer()


def test_stages_come_in_order_and_end_with_ready(pipe: tuple[int, Announcer]) -> None:
    read_end, announcer = pipe
    announcer.stage("API answers")
    announcer.stage(READY)
    assert list(stages(read_end, timeout=5)) == ["API answers", READY]
    os.close(read_end)


def test_a_failure_comes_with_its_message(pipe: tuple[int, Announcer]) -> None:
    read_end, announcer = pipe
    announcer.failed("port 6443\nis busy")
    with pytest.raises(StartError, match="port 6443 is busy"):
        list(stages(read_end, timeout=5))
    os.close(read_end)


def test_a_death_before_ready_is_noticed(pipe: tuple[int, Announcer]) -> None:
    read_end, announcer = pipe
    announcer.stage("API answers")
    announcer.failed("")
    heard = stages(read_end, timeout=5)
    assert next(heard) == "API answers"
    with pytest.raises(StartError):
        next(heard)
    os.close(read_end)


def test_silence_ends_with_the_time(pipe: tuple[int, Announcer]) -> None:
    read_end, announcer = pipe
    with pytest.raises(StartError, match="not ready after 0 s"):
        list(stages(read_end, timeout=0))
    announcer.stage(READY)
    os.close(read_end)


def test_an_end_without_a_word_is_a_failure() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    with pytest.raises(StartError, match="ended before"):
        list(stages(read_end, timeout=5))
    os.close(read_end)


def test_nobody_listens_in_the_foreground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_READY_FD", raising=False)
    announcer = Announcer()
    assert not announcer.is_heard
    announcer.stage(READY)
