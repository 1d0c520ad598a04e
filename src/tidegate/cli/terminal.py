"""What a person sees: results on stdout, everything else on stderr, colours only on a terminal."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import orjson
import typer
from rich.console import Console

from tidegate.kube.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

# What a program reads is not folded as it would be for a person.
_UNFOLDED = 1 << 14
_LINES_AS_WRITTEN = "\b"


def _width(*, is_terminal: bool) -> int | None:
    return None if is_terminal or "COLUMNS" in os.environ else _UNFOLDED


out = Console(highlight=False, width=_width(is_terminal=sys.stdout.isatty()))
err = Console(stderr=True, highlight=False, width=_width(is_terminal=sys.stderr.isatty()))


def print_json(value: Any) -> None:
    """Machine-readable output, indented, keys in their own order."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def user_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A command of ours: its examples are shown as they are written, its errors in one line.

    A `UserError`, and what the machine refuses (a full disk, a missing right), go to stderr with
    exit code 1; who stops reading what is printed ends the command without a word.
    """

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        _print_anything()
        try:
            result = _alone(command, *args, **kwargs)
            sys.stdout.flush()
        except UserError as error:
            _say(str(error))
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error
        except BrokenPipeError as error:
            _drop_output()
            raise typer.Exit(0) from error
        except OSError as error:
            _drop_output()
            _say(_of_machine(error))
            raise typer.Exit(1) from error
        return result

    wrapped.__doc__ = keep_lines(command.__doc__ or "")
    return wrapped


def _alone(command: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return command(*args, **kwargs)
    except BaseExceptionGroup as group:
        raise first(group) from group


def first(error: BaseException) -> BaseException:
    """The first error within groups of them."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def keep_lines(text: str) -> str:
    """Have the lines from `Example:` or `Examples:` on shown as they are written."""
    return text.replace("\n    Example", f"\n    {_LINES_AS_WRITTEN}\n    Example")


def _say(message: str) -> None:
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def _of_machine(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        full = f"{error.filename} goes" if error.filename else "the output or the data goes"
        return f"{error.strerror}: free some where {full}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _print_anything() -> None:
    """What the terminal's alphabet does not have is printed by its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Nothing more can be written: what is left must not fail again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(io.UnsupportedOperation):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def escape(text: str) -> str:
    """Keep rich from reading brackets in foreign text as markup."""
    return text.replace("[", r"\[")
