"""`tidegate image`: images made known and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.node.images import make_image
from tidegate.cli.main import app


@pytest.fixture
def run(tmp_path: Path):
    def run(*words: str) -> tuple[int, str]:
        arguments = ["image", *words, "--data-dir", str(tmp_path / "data")]
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
        return done.exit_code, " ".join(done.output.split())

    return run


def test_an_image_is_added_and_taken_back(run, tmp_path: Path) -> None:
    directory = make_image(tmp_path, "mine")
    assert run("add", str(directory), "--alias", "example.com/mine:v1")[0] == 0
    assert "example.com/mine:v1" in run("list")[1]
    code, words = run("rm", "example.com/mine:v1")
    assert (code, f"its directory {directory} is left as it is" in words) == (0, True)
    assert "example.com/mine:v1" not in run("list")[1]
    assert directory.is_dir()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("stable-diffusion", "comes with the directory"),
        ("nobody/knows:it", "no image nobody/knows:it was added"),
    ],
)
def test_what_cannot_be_taken_back_is_said(run, reference: str, words: str) -> None:
    code, said = run("rm", reference)
    assert (code, words in said) == (1, True)
