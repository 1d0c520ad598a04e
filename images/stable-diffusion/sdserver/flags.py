"""The command line, as AUTOMATIC1111's web UI takes it.

Flags that concern its own set-up are taken and have no effect, each for the reason given; a flag
nobody knows is refused, since a guard that was asked for must not silently be missing.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 7860
DEFAULT_GRACE = 25.0
# Flag, number of values, why it has no effect here.
WITHOUT_EFFECT = (
    ("--skip-torch-cuda-test", 0, "nothing is tested at start"),
    ("--api", 0, "the API is always on"),
    ("--xformers", 0, "attention is the engine's choice"),
    ("--opt-sdp-attention", 0, "attention is the engine's choice"),
    ("--opt-sdp-no-mem-attention", 0, "attention is the engine's choice"),
    ("--opt-split-attention", 0, "attention is the engine's choice"),
    ("--medvram", 0, "one picture at a time fits"),
    ("--lowvram", 0, "one picture at a time fits"),
    ("--no-half", 0, "half precision is used on CUDA only"),
    ("--no-half-vae", 0, "half precision is used on CUDA only"),
    ("--precision", 1, "half precision is used on CUDA only"),
    ("--upcast-sampling", 0, "half precision is used on CUDA only"),
    ("--use-cpu", 1, "the CPU is used where there is no GPU"),
    ("--skip-install", 0, "nothing is installed at start"),
    ("--skip-python-version-check", 0, "nothing is tested at start"),
    ("--skip-version-check", 0, "nothing is tested at start"),
    ("--skip-prepare-environment", 0, "nothing is installed at start"),
    ("--no-download-sd-model", 0, "nothing is downloaded"),
    ("--no-hashing", 0, "large files are not hashed"),
    ("--disable-nan-check", 0, "there is no such check"),
    ("--enable-insecure-extension-access", 0, "there are no extensions"),
    ("--theme", 1, "the page follows the browser's colour scheme"),
)


@dataclass(frozen=True)
class Flags:
    """What the server is to do. `ckpt` chooses the diffusers engine."""

    host: str
    port: int
    ckpt: Path | None
    nowebui: bool
    cors: tuple[str, ...]
    grace: float
    loglevel: str


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="launch.py", description="A Stable Diffusion server.", allow_abbrev=False
    )
    made.add_argument(
        "--listen", action="store_true", help="on all interfaces, or on $LISTEN_HOST if set"
    )
    made.add_argument("--server-name", metavar="HOST", help="the address to listen on")
    made.add_argument("--port", type=int, help=f"default: $PORT, else {DEFAULT_PORT}")
    made.add_argument(
        "--ckpt", type=Path, help="weights: a .safetensors file or a diffusers directory"
    )
    made.add_argument(
        "--ckpt-dir", type=Path, help="a directory of weights; the first by name is taken"
    )
    made.add_argument("--nowebui", action="store_true", help="the API only, no page")
    made.add_argument("--cors-allow-origins", default="", help="comma-separated origins")
    made.add_argument("--grace", type=float, default=DEFAULT_GRACE,
                      help="seconds after SIGTERM until pictures in work are dropped")  # fmt: skip
    made.add_argument("--loglevel", default="info", type=str.lower,
                      choices=["debug", "info", "warning", "error", "critical"])  # fmt: skip
    for flag, values, reason in WITHOUT_EFFECT:
        if values:
            made.add_argument(flag, nargs="+", help=f"no effect: {reason}")
        else:
            made.add_argument(flag, action="store_true", help=f"no effect: {reason}")
    return made


def parse_flags(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Flags:
    """Flags of the command line and, as in the original, of $COMMANDLINE_ARGS."""
    made = parser()
    got = made.parse_args([*shlex.split(environment.get("COMMANDLINE_ARGS", "")), *arguments])
    port = got.port
    if port is None:
        text = environment.get("PORT") or str(DEFAULT_PORT)
        if not text.isdigit():
            made.error(f"the environment's PORT is {text!r}, not a port number")
        port = int(text)
    if not 0 <= port <= 65535:
        made.error(f"{port} is not a port number")
    if got.grace < 0:
        made.error("--grace must not be negative")
    return Flags(
        host=host_of(got, environment),
        port=port,
        ckpt=weights_of(made, got),
        nowebui=got.nowebui,
        cors=tuple(filter(None, (o.strip() for o in got.cors_allow_origins.split(",")))),
        grace=got.grace,
        loglevel=got.loglevel,
    )


def host_of(got: argparse.Namespace, environment: Mapping[str, str]) -> str:
    if got.server_name:
        return got.server_name
    # A platform that runs the server as a plain process sets LISTEN_HOST to keep it on loopback.
    everywhere = environment.get("LISTEN_HOST", "0.0.0.0")  # noqa: S104 - what --listen means
    return everywhere if got.listen else "127.0.0.1"


def weights_of(made: argparse.ArgumentParser, got: argparse.Namespace) -> Path | None:
    if got.ckpt:
        if not got.ckpt.exists():
            made.error(f"--ckpt: there is no {got.ckpt}")
        return got.ckpt
    if not got.ckpt_dir:
        return None
    if not got.ckpt_dir.is_dir():
        made.error(f"--ckpt-dir: {got.ckpt_dir} is no directory")
    found = sorted(p for p in got.ckpt_dir.iterdir() if is_weights(p))
    if not found:
        made.error(f"--ckpt-dir: no .safetensors file and no diffusers directory in {got.ckpt_dir}")
    return found[0]


def is_weights(path: Path) -> bool:
    return path.suffix == ".safetensors" or (path / "model_index.json").is_file()
