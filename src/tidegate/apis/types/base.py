"""What all models share: exact types, no unknown fields, camel case on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

JsonObject = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
IntOrString = Annotated[
    int | str,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    ),
]
Quantity = Annotated[
    int | float | str,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    ),
]
Int32 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
DateTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Model(BaseModel):
    """A part of an object; every field may be null or missing, as in Kubernetes."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        defer_build=True,
        protected_namespaces=(),
    )


class Condition(Model):
    """One aspect of an object's state."""

    type: str | None = Field(None, description="Type of the condition.")
    status: str | None = Field(None, description="One of True, False, Unknown.")
    severity: str | None = Field(
        None, description="How to take other than True; empty means that it is an error."
    )
    last_transition_time: DateTime | None = Field(None, description="When the status last changed.")
    reason: str | None = Field(None, description="Why, as one word.")
    message: str | None = Field(None, description="Why, for people.")


class Status(Model):
    """What every status has."""

    observed_generation: Int64 | None = Field(
        None, description="The generation that the controller last processed."
    )
    annotations: dict[str, str] | None = Field(None, description="Additional status fields.")
    conditions: list[Condition] | None = Field(
        None, description="The latest observations of the state."
    )


class Addressable(Model):
    """Where something can be reached from within the cluster."""

    url: str | None = Field(None, description="The URL.")
    name: str | None = Field(None, description="Name of the address.")


class LocalObjectReference(Model):
    """Names an object in the same namespace."""

    name: str | None = Field(None, description="Name of the referent.")


class KReference(Model):
    """Names an object of any kind."""

    api_version: str | None = Field(None, description="API version of the referent.")
    kind: str | None = Field(None, description="Kind of the referent.")
    name: str | None = Field(None, description="Name of the referent.")
    namespace: str | None = Field(
        None, description="Namespace of the referent; that of the holder if empty."
    )
    group: str | None = Field(None, description="API group of the referent.")
    address: str | None = Field(None, description="Name of the address to use.")


class TemplateMetadata(Model):
    """The metadata that a generated object gets."""

    model_config = ConfigDict(extra="allow")

    name: str | None = Field(
        None, description="Name of the generated object; must begin with its parent's name and -."
    )
    generate_name: str | None = Field(None, description="Prefix of a generated name.")
    namespace: str | None = Field(None, description="Must be empty or the parent's namespace.")
    labels: dict[str, str] | None = Field(None, description="Labels of the generated object.")
    annotations: dict[str, str] | None = Field(
        None, description="Annotations of the generated object, e.g. its scaling bounds."
    )
    finalizers: list[str] | None = Field(None, description="Finalizers of the generated object.")
