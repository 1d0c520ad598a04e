"""Object helpers: conditions, owners, copies, times and statuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube import errors
from tidegate.kube.clock import parse_rfc3339, rfc3339, rfc3339_micro
from tidegate.kube.controller import owner_key
from tidegate.kube.objects import (
    Key,
    condition_of,
    controller_of,
    is_condition_true,
    is_controlled_by,
    key_of,
    owner_reference,
    thaw,
    with_condition,
)
from tidegate.kube.resources import DEPLOYMENTS, NAMESPACES, PODS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def test_condition_keeps_its_transition_time_until_the_status_changes() -> None:
    first = with_condition([], {"type": "Ready", "status": "False", "reason": "A"}, now="t1")
    same = with_condition(first, {"type": "Ready", "status": "False", "reason": "B"}, now="t2")
    changed = with_condition(same, {"type": "Ready", "status": "True"}, now="t3")
    assert [c[0]["lastTransitionTime"] for c in (first, same, changed)] == ["t1", "t1", "t3"]
    assert same[0]["reason"] == "B"
    obj = {"metadata": {"name": "x"}, "status": {"conditions": changed}}
    assert is_condition_true(obj, "Ready")
    assert condition_of(obj, "Other") is None


def test_owner_references_lead_back_to_the_owner() -> None:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n", "uid": "u1"},
    }
    obj = {"metadata": {"name": "p", "namespace": "n", "ownerReferences": [owner_reference(owner)]}}
    assert is_controlled_by(obj, owner)
    assert controller_of(obj) is not None
    assert list(owner_key(DEPLOYMENTS)(obj)) == [Key("n", "d")]
    assert list(owner_key(PODS)(obj)) == []


def test_paths_of_resources() -> None:
    assert PODS.path("n", "p", "log") == "/api/v1/namespaces/n/pods/p/log"
    assert DEPLOYMENTS.path() == "/apis/apps/v1/deployments"
    assert NAMESPACES.path(None, "n") == "/api/v1/namespaces/n"
    assert str(key_of({"metadata": {"name": "n"}})) == "n"


@given(JSON)
def test_thawed_copy_is_equal_and_shares_nothing_mutable(value: object) -> None:
    copy = thaw(value)
    assert copy == value
    if isinstance(value, list | dict) and value:
        assert copy is not value


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_times_round_trip(seconds: int) -> None:
    assert parse_rfc3339(rfc3339(seconds)) == seconds
    assert parse_rfc3339(rfc3339_micro(seconds)) == seconds


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound('pods "x" not found', resource="pods", name="x"),
        errors.Conflict("changed", resource="pods"),
        errors.AlreadyExists("taken"),
        errors.Gone("too old"),
        errors.Invalid("bad", causes=[errors.Cause("FieldValueInvalid", "no", "spec.x")]),
        errors.TooManyRequests("slow down", retry_after=3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_their_status(error: errors.ApiError) -> None:
    again = errors.from_status(error.status())
    assert type(again) is type(error)
    assert again.status() == error.status()


def test_status_without_a_known_reason_goes_by_its_code() -> None:
    assert isinstance(errors.from_status({}, code=404), errors.NotFound)
    assert isinstance(errors.from_status({"reason": "Odd"}, code=599), errors.InternalError)
