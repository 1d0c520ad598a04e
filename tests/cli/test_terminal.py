"""How commands speak: help as it is written, errors in one line, output that anything can take."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli.entry import main
from tidegate.cli.main import app
from tidegate.cli.records.files import default_data_dir
from tidegate.kube.errors import UserError

_COMMANDS = (
    *("", "up", "down", "gateway", "status", "logs", "kubeconfig", "backup", "restore", "crds"),
    *("version", "image", "image list", "image add", "image rm"),
)


def _run(*arguments: str, directory: Path, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TIDEGATE_HOME": str(directory), **options.pop("env", {})}
    environment.pop("COLUMNS", None)
    return subprocess.run(
        [sys.executable, "-m", "tidegate.cli.entry", *arguments],
        env=environment,
        text=True,
        timeout=60,
        check=False,
        stderr=subprocess.PIPE,
        **{"stdout": subprocess.PIPE, **options},
    )


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_examples_with_a_line_for_each(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"}).stdout
    _, found, rest = shown.partition("Example")
    assert found, shown
    lines = rest.partition("Options:")[0].splitlines()[1:]
    examples = [line.strip() for line in lines if line.strip()]
    whole = f"tidegate {command}".strip()
    # None has run into the next, nor has a long one been broken.
    assert any(line.startswith(whole) for line in examples), shown
    assert all(line.count("tidegate up") <= 1 for line in examples), shown


def test_the_list_of_commands_says_all_of_what_each_does() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("command", ["status", "image list", "backup x", "restore x"])
def test_an_output_that_is_not_known_is_refused(command: str, tmp_path: Path) -> None:
    done = _run(*command.split(), "-o", "yaml", directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'text', 'json'" in done.stderr


def test_what_a_program_reads_is_not_folded(tmp_path: Path) -> None:
    image = tmp_path / ("long-" * 30)
    image.mkdir()
    (image / "image.toml").write_text('name = "long"\ncommand = ["true"]\n')
    data = tmp_path / "data"
    added = _run("image", "add", str(image), directory=data)
    assert added.returncode == 0, added.stderr
    listed = _run("image", "list", directory=data)
    assert str(image) in listed.stdout


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = _run("crds", directory=tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device")
    assert done.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    def no_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = _run("up", "--api-port=1", directory=tmp_path / "data", preexec_fn=no_files)
    assert done.returncode == 1
    assert f"cannot write {tmp_path / 'data' / 'lock'}" in done.stderr
    assert "--data-dir" in done.stderr


def test_who_stops_reading_ends_the_command_without_a_word(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = _run("crds", directory=tmp_path, stdout=write_end)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_letters_that_the_locale_does_not_have_are_no_reason_to_fail(tmp_path: Path) -> None:
    directory = tmp_path / "données-数据"
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = _run("status", directory=directory, env=ascii_only)
    assert done.returncode == 1
    assert r"donn\xe9es-\u6570\u636e" in done.stderr


def test_no_colours_but_on_a_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in _run("status", directory=tmp_path).stderr


def test_a_user_without_a_home_is_told_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TIDEGATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UserError, match="TIDEGATE_HOME"):
        default_data_dir()


def test_a_directory_of_images_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = _run("up", f"--images={tmp_path / 'none'}", directory=tmp_path / "data")
    assert done.returncode == 1
    assert f"--images {tmp_path / 'none'}" in done.stderr


def test_the_logs_of_a_platform_that_wrote_none(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text(
        '{"bind":"127.0.0.1","api_port":1,"gateway_port":2,"console_port":3,"image_dirs":[]}'
    )
    done = _run("logs", directory=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no log in")
    # Nor is there anything to stop.
    assert _run("down", directory=tmp_path).returncode == 0


@pytest.mark.parametrize("record", ["{", "{}", "[]", '{"bind": 1}'])
def test_a_damaged_record_is_named_with_what_mends_it(tmp_path: Path, record: str) -> None:
    (tmp_path / "platform.json").write_text(record)
    shown = CliRunner().invoke(app, ["status", f"--data-dir={tmp_path}"])
    assert shown.exit_code == 1
    assert f"{tmp_path / 'platform.json'} is damaged" in shown.stderr
    assert "tidegate up" in shown.stderr


@pytest.mark.parametrize("service", ["a/b/c", "a/"])
def test_what_names_no_service_is_refused(tmp_path: Path, service: str) -> None:
    (tmp_path / "platform.json").write_text(
        '{"bind":"127.0.0.1","api_port":1,"gateway_port":2,"console_port":3,"image_dirs":[]}'
    )
    shown = CliRunner().invoke(app, ["logs", service, f"--data-dir={tmp_path}"])
    assert shown.exit_code == 1
    assert "NAMESPACE/NAME" in shown.stderr


def test_the_program_begins_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tidegate", "version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("tidegate ")
