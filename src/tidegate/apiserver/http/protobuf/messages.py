"""The numbers and types of the fields of Kubernetes' messages, as its API defines them.

`messages.txt` has one line per message: its name, then `number:field:type` for each field. Types:
`string int bool double bytes`, another message, `[]T` for repeated fields, `{}T` for maps with
string keys. A field named `-` is a message whose fields belong to the one around it. Where kinds of
several groups share a name, all but one bear their version before it: `events.k8s.io/v1/Event`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files


class Shape(Enum):
    """How a field is repeated."""

    SINGLE = ""
    LIST = "[]"
    MAP = "{}"


@dataclass(frozen=True)
class Field:
    """One field; `name` is `-` for one whose fields belong to the message around it."""

    name: str
    type: str
    shape: Shape


Message = dict[int, Field]


@cache
def messages() -> dict[str, Message]:
    """All messages by name; read when the first body in this encoding arrives."""
    text = files(__package__ or "").joinpath("messages.txt").read_text("ascii")
    return dict(_message(line) for line in text.splitlines())


def _message(line: str) -> tuple[str, Message]:
    name, *fields = line.split()
    message: Message = {}
    for field in fields:
        number, field_name, type_name = field.split(":")
        shape = Shape(type_name[:2]) if type_name[:2] in ("[]", "{}") else Shape.SINGLE
        message[int(number)] = Field(field_name, type_name.removeprefix(shape.value), shape)
    return name, message
