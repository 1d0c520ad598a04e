"""Kinds that come and go with their CustomResourceDefinitions."""

from __future__ import annotations

import pytest

from tests.apiserver.custom_kinds import (
    WIDGETS,
    definition,
    established,
    version,
    widget,
    with_custom_kinds,
)
from tests.support.api import running_api
from tidegate.kube.errors import BadRequest, Invalid, NotFound
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource

WIDGETS_V2 = Resource("example.com", "v2", "Widget", "widgets")


async def test_a_definition_makes_a_kind_and_takes_it_away(tmp_path):
    async with with_custom_kinds(tmp_path) as (api, client):
        with pytest.raises(NotFound):
            await client.list(WIDGETS)
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        created = await client.create(WIDGETS, widget())
        assert created["spec"] == {"size": 3, "color": "red"}
        assert created["metadata"]["generation"] == 1

        await client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.com")
        await api.eventually(lambda: api.api.registry.find("example.com", "v1", "widgets") is None)
        await api.eventually(lambda: not api.store.items("example.com/widgets"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 0}, "spec.size in body should be greater than or equal to 1"),
        ({"size": None}, "spec.size: Required value"),
        ({"color": "green"}, 'Unsupported value: "green": supported values: "blue", "red"'),
        ({"tag": "UPPER"}, "spec.tag in body should match"),
        ({"tag": "toolong"}, "should be at most 5 chars long"),
        (
            {"size": "3"},
            'spec.size: Invalid value: "string": spec.size in body must be of type integer:'
            ' "string"',
        ),
        ({"size": True}, 'spec.size in body must be of type integer: "boolean"'),
        ({"color": 3}, 'spec.color in body must be of type string: "integer"'),
        ({"replicas": 1.5}, 'spec.replicas in body must be of type integer: "number"'),
    ],
)
async def test_the_schema_is_enforced(tmp_path, spec, message):
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        with pytest.raises(Invalid) as refused:
            await client.create(WIDGETS, widget(**spec))
        assert message in refused.value.message


async def test_unknown_fields_are_refused_but_where_the_schema_keeps_them(tmp_path):
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        with pytest.raises(BadRequest, match=r'unknown field "spec\.shape"'):
            await client.create(WIDGETS, widget(shape="round"))
        created = await client.create(WIDGETS, widget(free={"any": [1]}))
        assert created["spec"]["free"] == {"any": [1]}


async def test_versions_show_the_same_objects(tmp_path):
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        await client.create(WIDGETS, widget())
        seen = await client.get(WIDGETS_V2, "w", namespace="default")
        assert seen["apiVersion"] == "example.com/v2"
        patched = await client.patch(WIDGETS_V2, "w", {"spec": {"size": 4}}, namespace="default")
        assert (patched["apiVersion"], patched["spec"]["size"]) == ("example.com/v2", 4)
        [listed] = (await client.list(WIDGETS)).items
        assert (listed["apiVersion"], listed["spec"]["size"]) == ("example.com/v1", 4)


async def test_status_and_scale_subresources(tmp_path):
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await established(api, client)
        await client.create(WIDGETS, widget(replicas=1))
        scaled = await client.patch(
            WIDGETS, "w", {"spec": {"replicas": 4}}, namespace="default", subresource="scale"
        )
        assert (scaled["kind"], scaled["spec"]["replicas"]) == ("Scale", 4)
        patch = {"status": {"replicas": 4}, "spec": {"size": 9}}
        changed = await client.patch(WIDGETS, "w", patch, namespace="default", subresource="status")
        assert changed["status"] == {"replicas": 4}
        assert changed["spec"]["size"] == 3


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"group": ""}, "spec.group"),
        ({"scope": "Galaxy"}, "spec.scope"),
        ({"versions": [version("v1", storage=False)]}, "spec.versions"),
        ({"names": {"plural": "gadgets", "kind": "Widget"}}, "metadata.name"),
        (
            {"versions": [{"name": "v1", "served": True, "storage": True}]},
            "spec.versions[0].schema.openAPIV3Schema",
        ),
    ],
)
async def test_bad_definitions_are_refused(tmp_path, spec, field):
    async with running_api(tmp_path) as api:
        with pytest.raises(Invalid) as refused:
            await api.client().create(CUSTOM_RESOURCE_DEFINITIONS, definition(**spec))
        assert field in [cause.field for cause in refused.value.causes]
