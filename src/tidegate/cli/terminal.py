"""What a person sees: results on stdout, everything else on stderr, colours only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import orjson
import typer
from rich.console import Console

from tidegate.kube.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Machine-readable output, indented, keys in their own order."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def user_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn a `UserError` of a command into one line on stderr and exit code 1."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error

    return wrapped


def escape(text: str) -> str:
    """Keep rich from reading brackets in foreign text as markup."""
    return text.replace("[", r"\[")
