"""Which instance spec a pod gets: a pure choice, in the pod's order, by stock.

The annotation `k8s.aliyun.com/eci-use-specs` lists up to five specs, ECS types and
`<vCPU>-<memory>Gi` forms mixed. Prices come from the table in `specs.toml` or the operator's own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.kube.errors import UserError

USE_SPECS_ANNOTATION = "k8s.aliyun.com/eci-use-specs"
SPEC_ANNOTATION = "k8s.aliyun.com/eci-instance-spec"
PRICE_ANNOTATION = "tidegate.dev/price-per-hour"
MAX_CHOICES = 5

_GENERIC = re.compile(r"^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)Gi$")

# vCPU -> GiB that Elastic Container Instance offers.
_SIZES: dict[float, tuple[float, ...]] = {
    0.25: (0.5, 1),
    0.5: (1, 2),
    1: (2, 4, 8),
    2: (1, 2, 4, 8, 16),
    4: (2, 4, 8, 16, 32),
    8: (4, 8, 16, 32, 64),
    12: (12, 24, 48, 96),
    16: (16, 32, 64, 128),
    24: (24, 48, 96, 192),
    32: (32, 64, 128, 256),
    52: (96, 192, 384),
    64: (128, 256, 512),
}


class SpecError(UserError):
    """The pod asks for a spec that cannot be; names the annotation and the entry."""


@dataclass(frozen=True)
class Spec:
    """An instance spec.

    Attributes:
        name: as in the annotation.
        vcpu, memory_gib, gpus: its size.
        price: per hour, in the table's currency.
        stock: how many pods may have it at once.
    """

    name: str
    vcpu: float
    memory_gib: float
    gpus: int
    price: float
    stock: int


class _Type(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vcpu: float = Field(gt=0)
    memory_gib: float = Field(gt=0)
    gpus: int = Field(ge=0)
    price: float = Field(ge=0)
    stock: int = Field(ge=0)


class _PerHour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vcpu: float = Field(ge=0)
    gib: float = Field(ge=0)
    stock: int = Field(ge=0)


class SpecTable(BaseModel):
    """The specs there are; the file's keys are the fields."""

    model_config = ConfigDict(extra="forbid")

    currency: str
    note: str = ""
    default: str
    per_hour: _PerHour
    types: dict[str, _Type]

    def spec(self, name: str) -> Spec:
        """The spec of that name. Raises SpecError."""
        if name in self.types:
            found = self.types[name]
            return Spec(name, **found.model_dump())
        match = _GENERIC.match(name)
        if match is None:
            known = ", ".join(self.types)
            raise SpecError(
                f"{USE_SPECS_ANNOTATION}: unknown spec {name!r}; known are <vCPU>-<memory>Gi"
                f" (e.g. 2-4Gi) and {known}"
            )
        return self._generic(name, float(match[1]), float(match[2]))

    def _generic(self, name: str, vcpu: float, memory: float) -> Spec:
        offered = _SIZES.get(vcpu)
        if offered is None:
            sizes = ", ".join(f"{size:g}" for size in _SIZES)
            raise SpecError(f"{USE_SPECS_ANNOTATION}: {name!r}: vCPU must be one of {sizes}")
        if memory not in offered:
            sizes = ", ".join(f"{size:g}" for size in offered)
            raise SpecError(
                f"{USE_SPECS_ANNOTATION}: {name!r}: with {vcpu:g} vCPU the memory must be one of"
                f" {sizes} Gi"
            )
        price = vcpu * self.per_hour.vcpu + memory * self.per_hour.gib
        return Spec(name, vcpu, memory, 0, round(price, 6), self.per_hour.stock)

    def choices(self, annotations: Mapping[str, str]) -> tuple[Spec, ...]:
        """What a pod would take, in its order; the default spec when it asks for none.

        Raises:
            SpecError: too many entries, or one that cannot be.
        """
        text = annotations.get(USE_SPECS_ANNOTATION, "")
        names = [name.strip() for name in text.split(",")] if text.strip() else [self.default]
        if len(names) > MAX_CHOICES:
            raise SpecError(
                f"{USE_SPECS_ANNOTATION}: {len(names)} specs, at most {MAX_CHOICES} are allowed"
            )
        return tuple(self.spec(name) for name in names)


def choose(choices: tuple[Spec, ...], in_use: Mapping[str, int]) -> Spec | None:
    """The first spec in stock, or None."""
    return next((spec for spec in choices if in_use.get(spec.name, 0) < spec.stock), None)


def load_table(path: Path | None = None) -> SpecTable:
    """The operator's table, or the one of examples shipped here.

    Raises:
        UserError: the file cannot be read or is not valid.
    """
    try:
        if path is None:
            text = resources.files("tidegate.node").joinpath("specs.toml").read_text("utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        raw: dict[str, Any] = tomllib.loads(text)
        return SpecTable.model_validate(raw)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"the spec table {path} cannot be read: {error}") from error
    except ValidationError as error:
        raise UserError(f"the spec table {path} is not valid: {error}") from error
