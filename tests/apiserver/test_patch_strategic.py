"""Strategic merge patch on the built-in types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apiserver.patch.strategic import strategic_merge
from tidegate.apiserver.registry.builtin import default_registry
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import thaw
from tidegate.kube.resources import DEPLOYMENTS, PODS

REGISTRY = default_registry()
POD = REGISTRY.place(REGISTRY.of(PODS))
DEPLOYMENT = REGISTRY.place(REGISTRY.of(DEPLOYMENTS))


def pod(*containers, **spec):
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def test_containers_merge_by_name():
    before = pod({"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"})
    patch = pod({"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]})
    after = strategic_merge(before, patch, POD)
    assert {c["name"]: c for c in after["spec"]["containers"]} == {
        "a": {
            "name": "a",
            "image": "2",
            "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}],
        },
        "b": {"name": "b"},
    }


def test_lists_without_a_key_are_replaced():
    before = pod({"name": "a", "args": ["1", "2"]})
    after = strategic_merge(before, pod({"name": "a", "args": ["3"]}), POD)
    assert after["spec"]["containers"][0]["args"] == ["3"]


def test_delete_directive_removes_an_item():
    before = pod({"name": "a"}, {"name": "b"})
    after = strategic_merge(before, pod({"name": "a", "$patch": "delete"}), POD)
    assert after["spec"]["containers"] == [{"name": "b"}]


def test_replace_directive_replaces_a_list_and_a_map():
    before = pod({"name": "a"}, {"name": "b"}, nodeSelector={"x": "1"})
    patch = pod({"$patch": "replace"}, {"name": "c"}, nodeSelector={"$patch": "replace", "y": "2"})
    after = strategic_merge(before, patch, POD)
    assert after["spec"] == {"containers": [{"name": "c"}], "nodeSelector": {"y": "2"}}


def test_set_element_order_orders_the_list():
    before = pod({"name": "a"}, {"name": "b"}, {"name": "c"})
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "d"}, {"name": "a"}],
            "containers": [{"name": "d"}],
        }
    }
    after = strategic_merge(before, patch, POD)
    names = [c["name"] for c in after["spec"]["containers"]]
    assert [n for n in names if n != "b"] == ["c", "d", "a"]
    assert sorted(names) == ["a", "b", "c", "d"]


def test_retain_keys_drops_the_other_members_of_a_union():
    before = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    after = strategic_merge(before, patch, DEPLOYMENT)
    assert after["spec"]["strategy"] == {"type": "Recreate"}


def test_finalizers_merge_and_can_be_deleted():
    before = {"metadata": {"finalizers": ["a/1", "a/2"]}}
    added = strategic_merge(before, {"metadata": {"finalizers": ["a/3"]}}, POD)
    assert sorted(added["metadata"]["finalizers"]) == ["a/1", "a/2", "a/3"]
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1"]}}
    removed = strategic_merge(before, patch, POD)
    assert removed["metadata"]["finalizers"] == ["a/2"]


def test_null_removes_and_leaves_no_nulls_behind():
    before = {"metadata": {"labels": {"a": "1"}}}
    patch = {"metadata": {"labels": {"a": None}, "annotations": {"b": None, "c": "1"}}}
    after = strategic_merge(before, patch, POD)
    assert after["metadata"] == {"labels": {}, "annotations": {"c": "1"}}


@pytest.mark.parametrize(
    "patch",
    [pod({"image": "x"}), {"spec": {"$patch": "explode"}}],
    ids=["no merge key", "unknown directive"],
)
def test_malformed_patches_are_refused(patch):
    with pytest.raises(BadRequest):
        strategic_merge(pod({"name": "a"}), patch, POD)


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
CONTAINERS = st.dictionaries(
    NAMES, st.dictionaries(st.sampled_from(["image", "workingDir"]), NAMES), max_size=5
)


def as_pod(containers):
    return pod(*({"name": name, **fields} for name, fields in containers.items()))


@given(CONTAINERS, CONTAINERS)
def test_keyed_lists_merge_as_maps_do(before, change):
    target = as_pod(before)
    untouched = thaw(target)
    after = strategic_merge(target, as_pod(change), POD)
    merged = {c["name"]: c for c in after["spec"]["containers"]}
    expected = {
        name: {"name": name, **before.get(name, {}), **change.get(name, {})}
        for name in {*before, *change}
    }
    assert merged == expected
    assert target == untouched


@given(CONTAINERS, CONTAINERS)
def test_applying_twice_is_applying_once(before, change):
    once = strategic_merge(as_pod(before), as_pod(change), POD)
    assert strategic_merge(once, as_pod(change), POD) == once
