"""The manifest `image.toml`: what an image of the process runtime says about itself."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tidegate.node.images.errors import BrokenImageError

MANIFEST_NAME = "image.toml"

_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$", max_length=255)]
_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class ImagePort(BaseModel):
    """A port the program listens on and the variable that tells it the real one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    container: int = Field(ge=1, le=65535)
    env: _Variable = "PORT"


class Manifest(BaseModel):
    """What `image.toml` holds; the field names are the file's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    aliases: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    requirements: str | None = None
    preload: tuple[_Module, ...] = ()
    ports: tuple[ImagePort, ...] = ()
    env: dict[_Variable, str] = Field(default_factory=dict)

    @field_validator("requirements")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is not None and (PurePosixPath(value).is_absolute() or ".." in Path(value).parts):
            raise ValueError("must be a path inside the image's directory")
        return value


def load(directory: Path) -> Manifest:
    """Read and check the manifest of the image in `directory`.

    Raises:
        BrokenImageError: there is none, or it is not valid; names the file and the key.
    """
    path = directory / MANIFEST_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenImageError(f"{directory} is no image: it has no {MANIFEST_NAME}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BrokenImageError(f"{path}: {error}") from error
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
        raise BrokenImageError(f"{path}: {problems}") from error
