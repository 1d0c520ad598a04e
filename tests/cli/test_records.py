"""What is kept of a platform: its directory, the lock on it, and its settings."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli.commands.up import background_arguments
from tidegate.cli.main import app
from tidegate.cli.records.files import default_data_dir, prepare_data_dir
from tidegate.cli.records.settings import Settings, load, save
from tidegate.kube.errors import UserError


def test_the_data_directory_is_private(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o755)
    prepare_data_dir(directory)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_file_in_place_of_the_data_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--data-dir"):
        prepare_data_dir(tmp_path / "file" / "below")


def test_one_platform_per_directory(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    assert settings.running_pid is None
    with settings.hold():
        assert settings.running_pid == os.getpid()
        with (
            pytest.raises(UserError, match=f"runs already .*process {os.getpid()}"),
            settings.hold(),
        ):
            raise AssertionError("two at once")
    assert settings.running_pid is None
    with settings.hold():
        pass


def test_who_only_looks_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(tmp_path)
    with settings.lock_file.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        with settings.hold():
            assert settings.running_pid == os.getpid()


def test_settings_are_found_again(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "127.0.0.2", 1, 2, 3, (tmp_path / "images",), 4, max_revisions=5)
    for each in (settings, replace(settings, tls_certificate=tmp_path / "c", tls_key=tmp_path)):
        save(each)
        assert load(tmp_path) == each


def test_a_directory_without_a_platform_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tidegate up"):
        load(tmp_path)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text("{")
    with pytest.raises(UserError, match=r"platform\.json"):
        load(tmp_path)


def test_the_home_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", "/somewhere/else")
    assert default_data_dir() == Path("/somewhere/else")
    monkeypatch.delenv("TIDEGATE_HOME")
    assert default_data_dir() == Path.home() / ".tidegate"


def test_the_gateway_is_made_for_as_many_revisions_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Settings] = []
    monkeypatch.setattr("tidegate.cli.commands.up.run_in_foreground", started.append)
    arguments = ["up", f"--data-dir={tmp_path}", "--max-revisions", "5000"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert started[0].max_revisions == 5000
    assert "--max-revisions=5000" in background_arguments(started[0])
    refused = CliRunner().invoke(app, [*arguments[:-1], "3"])
    assert refused.exit_code == 2
    assert "--max-revisions" in refused.output
