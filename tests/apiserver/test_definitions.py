"""CustomResourceDefinitions: which schemas are taken, and what becomes of kinds that change."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.apiserver.custom_kinds import (
    WIDGETS,
    definition,
    established,
    version,
    widget,
    with_custom_kinds,
)
from tests.conformance.objects import definition as other_definition
from tidegate.apis.crds import crds
from tidegate.apiserver.registry.custom import default_definition, validate_definition
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.schemarules import check_schema
from tidegate.apiserver.registry.valuechecks import check_values
from tidegate.kube.errors import Invalid, MethodNotAllowed
from tidegate.kube.objects import condition_of, conditions_of
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS

LIST = "x-kubernetes-list-type"
KEYS = "x-kubernetes-list-map-keys"


def field(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


def problems(schema: dict[str, Any]) -> list[str]:
    errors = FieldErrors()
    check_schema(schema, "s", errors)
    return [f"{cause.field}: {cause.message}" for cause in errors.causes]


KEYED = {"type": "object", "properties": {"k": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"properties": {}}, "s.type: Required value: must not be empty at the root"),
        ({"type": "string"}, 's.type: Invalid value: "string": must be object at the root'),
        (field(), "s.properties[a].type: Required value: must not be empty for specified object"),
        (field(type="text"), 's.properties[a].type: Unsupported value: "text"'),
        (field(type="array"), "s.properties[a].items: Required value: must be specified"),
        (
            field(type="array", items={}),
            "s.properties[a].items.type: Required value: must not be empty for specified array",
        ),
        (
            field(type="array", items={"type": "string"}, uniqueItems=True),
            "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true",
        ),
        ({"type": "object", "$ref": "#/x"}, "s.$ref: Forbidden: $ref is not supported"),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            "s.additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            field(
                type="object",
                properties={"b": {"type": "string"}},
                additionalProperties={"type": "string"},
            ),
            "s.properties[a].additionalProperties: Forbidden: additionalProperties and properties",
        ),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": False},
            "s.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or",
        ),
        (
            {"type": "object", "properties": {"metadata": field(type="object")}},
            "s.properties[metadata]: Forbidden: must not specify anything other than name and",
        ),
        (
            field(**{"type": "string", LIST: "set"}),
            f's.properties[a].type: Invalid value: "string": must be array if {LIST} is specified',
        ),
        (
            field(**{"type": "array", "items": KEYED, LIST: "map"}),
            f"s.properties[a].{KEYS}: Required value: must not be empty if {LIST} is map",
        ),
        (
            field(**{"type": "array", "items": KEYED, LIST: "map", KEYS: ["k"]}),
            f"s.properties[a].items.properties[k].default: Required value: this property is in"
            f" {KEYS}, so it must have a default or be a required property",
        ),
        (
            field(**{"type": "array", "items": KEYED, LIST: "map", KEYS: ["x"]}),
            f's.properties[a].{KEYS}[0]: Invalid value: "x": entries must all be names of item',
        ),
        (
            {"type": "object", "anyOf": [{"type": "string"}]},
            "s.anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            field(type="string", default=1),
            "s.properties[a].default: Invalid value: 1: default in body must be of type string",
        ),
        (
            field(type="string", enum=["x"], default="y"),
            's.properties[a].default: Unsupported value: "y": supported values: "x"',
        ),
        (
            field(type="string", pattern="(("),
            's.properties[a].pattern: Invalid value: "((": must be a valid regular expression',
        ),
    ],
)
def test_schemas_that_are_refused(schema: dict[str, Any], problem: str) -> None:
    [found] = problems(schema)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "schema",
    [
        field(**{"x-kubernetes-int-or-string": True}),
        field(
            **{
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
            }
        ),
        field(**{"x-kubernetes-preserve-unknown-fields": True}),
        {**field(type="string"), "oneOf": [{"required": ["a"]}, {"properties": {"a": {}}}]},
        {"type": "object", "properties": {"metadata": {"type": "object"}}},
        field(**{"type": "array", "items": {**KEYED, "required": ["k"]}, LIST: "map", KEYS: ["k"]}),
    ],
)
def test_schemas_that_are_taken(schema: dict[str, Any]) -> None:
    assert problems(schema) == []


def test_our_own_definitions_are_good() -> None:
    for made in crds():
        errors = FieldErrors()
        default_definition(made)
        validate_definition(made, None, errors)
        assert not errors, errors.causes


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"names": {"plural": "widgets", "kind": "Bad_Kind"}}, "spec.names.kind: Invalid value"),
        (
            {"names": {"plural": "widgets", "kind": "Widget", "listKind": "Widget"}},
            "kind and listKind may not be the same",
        ),
        (
            {"names": {"plural": "widgets", "kind": "Widget", "shortNames": ["W"]}},
            "spec.names.shortNames[0]: Invalid value",
        ),
        (
            {
                "versions": [
                    {**version("v1", storage=True), "selectableFields": [{"jsonPath": ".x"}]}
                ]
            },
            'selectableFields[0].jsonPath: Invalid value: ".x": is an invalid path',
        ),
        (
            {
                "versions": [
                    {
                        **version("v1", storage=True),
                        "additionalPrinterColumns": [{"name": "A", "type": "t", "jsonPath": ".a"}],
                    }
                ]
            },
            'spec.versions[0].additionalPrinterColumns[0].type: Unsupported value: "t"',
        ),
    ],
)
async def test_definitions_that_are_refused(tmp_path, change, problem) -> None:
    async with with_custom_kinds(tmp_path) as (_, client):
        with pytest.raises(Invalid) as refused:
            await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(**change))
        assert problem in str(refused.value)


async def test_a_version_that_is_stored_must_stay(tmp_path) -> None:
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        moved = definition(versions=[version("v2", storage=True)])
        with pytest.raises(Invalid, match=r"status.storedVersions\[0\].*must appear in spec"):
            await client.update(CUSTOM_RESOURCE_DEFINITIONS, moved)


async def test_defaults_that_come_later_are_seen_in_what_is_stored(tmp_path) -> None:
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        made = await client.create(WIDGETS, widget())
        later = orjson.loads(orjson.dumps(definition()))
        for served in later["spec"]["versions"]:
            fields = served["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            fields["shape"] = {"type": "string", "default": "round"}
            del fields["color"]["default"]
        await client.update(CUSTOM_RESOURCE_DEFINITIONS, later)

        async def shaped() -> bool:
            found = await client.get(WIDGETS, "w", namespace="default")
            return found["spec"] == {"size": 3, "color": "red", "shape": "round"}

        await api.eventually(shaped)
        [listed] = (await client.list(WIDGETS, namespace="default")).items
        assert listed["spec"]["shape"] == "round"
        assert listed["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_nothing_is_made_of_a_kind_that_ends(tmp_path) -> None:
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        held = widget()
        held["metadata"]["finalizers"] = ["example.com/hold"]
        await client.create(WIDGETS, held)
        await client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.com")

        async def ending() -> bool:
            found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.com")
            condition = condition_of(found, "Terminating")
            return condition is not None and condition["reason"] == "InstanceDeletionInProgress"

        await api.eventually(ending)
        with pytest.raises(MethodNotAllowed):
            await client.create(
                WIDGETS, {**widget(), "metadata": {"name": "x"}}, namespace="default"
            )
        await client.patch(WIDGETS, "w", {"metadata": {"finalizers": None}}, namespace="default")
        await api.eventually(lambda: api.api.registry.find("example.com", "v1", "widgets") is None)


async def test_names_that_are_taken(tmp_path) -> None:
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, other_definition("others", "Widget"))

        async def refused() -> bool:
            found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, "others.example.com")
            return bool(conditions_of(found))

        await api.eventually(refused)
        found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, "others.example.com")
        accepted, established_ = conditions_of(found)
        assert (accepted["status"], accepted["reason"]) == ("False", "ListKindConflict")
        assert accepted["message"] == '"WidgetList" is already in use'
        assert (established_["status"], established_["reason"]) == ("False", "NotAccepted")


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date-time", "2026-01-02T03:04:05Z", "yesterday"),
        ("date", "2026-01-02", "2026-13-02"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/40"),
        ("uuid", "b02ddba1-4bff-498e-b1c9-76df1c006e3b", "b02ddba1"),
        ("email", "a@b.example", "a.example"),
        ("duration", "1h30m", "soon"),
        ("unheard-of", "anything", None),
    ],
)
def test_formats(form: str, good: str, bad: str | None) -> None:
    for value in filter(None, (good, bad)):
        errors = FieldErrors()
        check_values(field(type="string", format=form), {"a": value}, "", errors)
        assert bool(errors) == (value == bad)
