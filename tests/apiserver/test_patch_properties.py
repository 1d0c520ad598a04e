"""What holds for every patch: the way from one object to another, and back."""

from __future__ import annotations

import json

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from tests.apiserver.applying import ALICE, BOB, CONFIGS, NAMES, PLACE, REGISTRY, apply_purely
from tests.support.api import running_api
from tidegate.apiserver.patch.fieldsets import (
    field_set,
    leaves,
    minus,
    owned_tree,
    to_fields_v1,
)
from tidegate.apiserver.patch.json_patch import json_patch
from tidegate.apiserver.patch.merge import merge_patch
from tidegate.apiserver.patch.strategic import strategic_merge
from tidegate.kube.client import PatchType
from tidegate.kube.objects import thaw
from tidegate.kube.resources import CONFIG_MAPS, SERVICES

KEYS = st.sampled_from(["a", "b/c", "d~e", ""])
SOLID = st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
# No nulls: in a merge patch they say something else.
VALUES = st.recursive(
    SOLID, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=4)


def merge_difference(before: dict, after: dict) -> dict:
    """The merge patch that leads from one map to another."""
    patch = {}
    for key in {*before, *after}:
        old, new = before.get(key), after.get(key)
        if key not in after:
            patch[key] = None
        elif isinstance(old, dict) and isinstance(new, dict):
            patch[key] = merge_difference(old, new)
        elif key not in before or not same(old, new):
            patch[key] = new
    return patch


def same(one: object, other: object) -> bool:
    """Equal as JSON, where `true` is not 1."""
    return one == other and repr(one) == repr(other)


@given(MAPS, MAPS)
def test_a_merge_patch_leads_from_any_map_to_any_other(before, after):
    untouched = thaw(before)
    assert merge_patch(before, merge_difference(before, after)) == after
    assert before == untouched


@given(MAPS, MAPS)
def test_a_json_patch_leads_from_any_map_to_any_other_and_back(before, after):
    untouched = thaw(before)
    there = jsonpatch.make_patch(before, after).patch
    assert json_patch(before, there) == after
    assert json_patch(after, jsonpatch.make_patch(after, before).patch) == before
    assert before == untouched


PORTS = st.dictionaries(st.integers(1, 5), NAMES, max_size=4)


def service(ports: dict[int, str]) -> dict:
    found = [{"port": port, "name": f"{name}{port}"} for port, name in ports.items()]
    return {"spec": {"ports": found}} if found else {"spec": {}}


def ports_of(obj: dict) -> dict[int, str]:
    return {item["port"]: item["name"] for item in obj["spec"].get("ports") or []}


@given(PORTS, PORTS)
def test_a_strategic_patch_leads_from_any_keyed_list_to_any_other(before, after):
    """As kubectl makes them: changed and new items whole, those that are gone by a directive."""
    old, new = service(before), service(after)
    patch = {
        "spec": {
            "ports": [
                *(item for item in new["spec"].get("ports", ())),
                *({"port": port, "$patch": "delete"} for port in before if port not in after),
            ]
        }
    }
    assert ports_of(patched(old, patch)) == ports_of(new)
    assert patched(patched(old, patch), patch) == patched(old, patch)


def patched(obj: dict, patch: dict) -> dict:
    return strategic_merge(obj, patch, REGISTRY.place(REGISTRY.of(SERVICES)))


@given(CONFIGS, CONFIGS)
def test_what_a_manager_no_longer_applies_goes_with_it(first, second):
    """Alice applies, Bob applies, Bob applies nothing: all is as if Bob had never been."""
    before = apply_purely(None, first, ALICE)
    nothing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    after = apply_purely(apply_purely(before, second, BOB), nothing, BOB)
    assert owned(after) <= owned(before)
    # What both set alike is still there; what Bob had taken from Alice by force is gone.
    alike = {c["name"] for c in first["spec"]["template"]["spec"]["containers"]}
    assert {c["name"] for c in containers(after)} <= alike


OBJECTS = st.builds(lambda config, data: {**config, "status": data}, CONFIGS, MAPS)


@given(OBJECTS)
def test_the_tree_of_an_object_is_in_the_order_of_its_paths(obj):
    tree = owned_tree(obj, PLACE)
    assert json.dumps(tree) == json.dumps(to_fields_v1(field_set(obj, PLACE)))
    metadata = [("f:metadata", f"f:{name}") for name in ("name", "uid")]
    unowned = {("f:apiVersion",), ("f:kind",), *metadata}
    assert field_set(obj, PLACE) == set(leaves(obj, PLACE, ())) - unowned


@given(OBJECTS, OBJECTS)
def test_trees_are_subtracted_as_sets_of_paths_are(one, other):
    left = minus(owned_tree(one, PLACE), owned_tree(other, PLACE))
    paths = field_set(one, PLACE) - field_set(other, PLACE)
    assert left == to_fields_v1(paths)


def owned(obj: dict) -> frozenset:
    return field_set({"spec": obj.get("spec", {})}, PLACE)


def containers(obj: dict) -> list[dict]:
    template = obj.get("spec", {}).get("template", {})
    return template.get("spec", {}).get("containers", [])


@given(CONFIGS, CONFIGS)
def test_managers_of_different_fields_come_in_any_order(first, second):
    mine = {**first, "spec": {"replicas": first["spec"].get("replicas", 1)}}
    yours = {**second, "spec": {"template": second["spec"]["template"]}}
    for config in (mine, yours):
        config["metadata"] = {"name": "web"}
    one = apply_purely(apply_purely(None, mine, ALICE), yours, BOB)
    other = apply_purely(apply_purely(None, yours, BOB), mine, ALICE)
    assert one["spec"] == other["spec"]


async def test_every_kind_of_patch_that_changes_nothing_writes_nothing(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        data = {"a": "1"}
        meta = {"name": "cm", "namespace": "default", "labels": {"x": "y", "b/c": "2"}}
        made = await client.create(CONFIG_MAPS, {"metadata": meta, "data": data})
        for patch, kind in (
            ({"data": {"a": "1"}}, PatchType.MERGE),
            ({"data": {"nothing": None}}, PatchType.MERGE),
            ({"data": {"a": "1"}, "metadata": {"labels": {"x": "y"}}}, PatchType.STRATEGIC),
            ([{"op": "replace", "path": "/metadata/labels/b~1c", "value": "2"}], PatchType.JSON),
            ([{"op": "test", "path": "/data/a", "value": "1"}], PatchType.JSON),
            (jsonpatch.make_patch(made, made).patch, PatchType.JSON),
        ):
            found = await client.patch(
                CONFIG_MAPS, "cm", patch, namespace="default", patch_type=kind
            )
            assert found == made, (patch, kind)
        assert api.store.version == int(made["metadata"]["resourceVersion"])
