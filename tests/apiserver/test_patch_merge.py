"""Merge patch and JSON patch against plain models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apiserver.patch.json_patch import json_patch
from tidegate.apiserver.patch.merge import merge_patch
from tidegate.kube.errors import BadRequest, Invalid
from tidegate.kube.objects import thaw

KEYS = st.sampled_from(["a", "b", "c"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2)
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=3)


def reference(target, patch):
    """RFC 7386, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    target = dict(target)
    for name, value in patch.items():
        if value is None:
            if name in target:
                del target[name]
        else:
            target[name] = reference(target.get(name), value)
    return target


@given(VALUES, VALUES)
def test_merge_patch_does_what_the_rfc_says(target, patch):
    untouched = thaw(target), thaw(patch)
    assert merge_patch(target, patch) == reference(target, patch)
    assert (target, patch) == untouched


@given(MAPS, MAPS)
def test_merging_twice_is_merging_once(target, patch):
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(st.dictionaries(KEYS, st.integers(), max_size=3), KEYS, st.integers())
def test_json_patch_sets_one_field_and_leaves_the_target_alone(target, key, value):
    untouched = dict(target)
    operation = {"op": "add", "path": f"/{key}", "value": value}
    assert json_patch(target, [operation]) == {**target, key: value}
    assert target == untouched


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ({"op": "add"}, BadRequest),
        ([{"op": "add", "value": 1}], BadRequest),
        ([{"op": "shout", "path": "/a"}], BadRequest),
        (["remove"], BadRequest),
        ([{"op": "remove", "path": "/b"}], Invalid),
        ([{"op": "replace", "path": "/b/c", "value": 1}], Invalid),
        ([{"op": "test", "path": "/a", "value": 2}], Invalid),
        ([{"op": "add", "path": "/list/9", "value": 1}], Invalid),
        ([{"op": "add", "path": "a", "value": 1}], BadRequest),
    ],
    ids=str,
)
def test_json_patches_that_do_not_fit_are_refused(patch, error):
    with pytest.raises(error):
        json_patch({"a": 1, "list": []}, patch)
