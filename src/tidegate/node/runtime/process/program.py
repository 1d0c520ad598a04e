"""Runs a container's program in the process that was forked for it.

A Python program runs in this interpreter, whose imports are done, as if it had been started anew;
any other replaces it. Part of the template's program, which loads it by its path: nothing but the
standard library.
"""

# The paths are strings, as they come over the socket and go to the program.
# ruff: noqa: PTH100, PTH109, PTH113, PTH120, PTH123

from __future__ import annotations

import builtins
import os
import runpy
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

# Variables that the interpreter reads only when it starts: with any other PYTHON* variable the
# program gets an interpreter of its own.
_HONOURED = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})

_OURS = os.path.dirname(os.path.abspath(__file__))


def run(argv: list[str], environment: dict[str, str], rootfs: str, *, reads: bool) -> None:
    """Run the program; `os.environ` is its environment already.

    Args:
        reads: it has a standard input.
    """
    program = _python_program(argv, environment)
    if program is None:
        _exec(argv, environment)
        return
    _reseed()
    # As the interpreter does for its own programs: a broken pipe is an exception.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unbuffered = "-u" in argv[1:2] or bool(environment.get("PYTHONUNBUFFERED"))
    if reads:
        # The template's object knows that nothing is ever read from it.
        sys.stdin = sys.__stdin__ = open(0, encoding=sys.stdin.encoding, closefd=False)  # noqa: SIM115
    sys.stdout.reconfigure(line_buffering=True, write_through=unbuffered)  # type: ignore[union-attr]
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[:] = [path for path in sys.path if path != rootfs]
    extra = environment.get("PYTHONPATH", "")
    sys.path[0:0] = [path for path in extra.split(os.pathsep) if path]
    sys.excepthook = _excepthook
    program()


def _python_program(argv: list[str], environment: dict[str, str]) -> Callable[[], None] | None:
    """What runs `argv` in this interpreter, or None if it needs a process image of its own."""
    if not is_python(argv[0]):
        return None
    if any(name.startswith("PYTHON") and name not in _HONOURED for name in environment):
        return None
    rest = argv[1:]
    if rest[:1] == ["-u"]:
        rest = rest[1:]
    if len(rest) >= 2 and rest[0] == "-m":
        return lambda: _run_module(rest[1], rest[1:])
    if len(rest) >= 2 and rest[0] == "-c":
        return lambda: _run_code(compile(rest[1], "<string>", "exec"), ["-c", *rest[2:]], "")
    if rest and not rest[0].startswith("-") and os.path.isfile(rest[0]):
        return lambda: _run_script(rest)
    return None


def is_python(program: str) -> bool:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return program in {"python", "python3", version, sys.executable}


def _run_script(argv: list[str]) -> None:
    path = argv[0]
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec")
    _run_code(code, argv, os.path.dirname(os.path.realpath(path)), file=path)


def _run_code(
    code: types.CodeType, argv: list[str], path_entry: str, *, file: str | None = None
) -> None:
    # A module that stays, unlike runpy's: threads and pickles go on finding their `__main__`.
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    if file is not None:
        module.__file__ = file
    sys.modules["__main__"] = module
    sys.argv[:] = argv
    sys.path.insert(0, path_entry)
    exec(code, module.__dict__)  # noqa: S102 - running the container's program is the purpose


def _run_module(name: str, argv: list[str]) -> None:
    sys.argv[:] = argv
    sys.path.insert(0, os.getcwd())
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _exec(argv: list[str], environment: dict[str, str]) -> None:
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - the container's program
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _reseed() -> None:
    # The random module reseeds itself in a fork, numpy's global generator does not.
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed()


def _excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)
