"""Selectors: what parses, what matches, and that the forms agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kube.errors import BadRequest
from tidegate.kube.selectors import (
    parse_field_selector,
    parse_label_selector,
    selector_from_map,
    selector_from_spec,
)

KEYS = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
VALUES = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?", fullmatch=True)
LABELS = st.dictionaries(KEYS, VALUES, max_size=5)


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {"a": "b"}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a in (x, y),b", {"a": "y", "b": "1"}, True),
        ("a in (x, y),b", {"a": "y"}, False),
        ("a notin (x,y)", {"a": "z"}, True),
        ("a notin (x,y)", {}, True),
        ("example.com/tier=gold", {"example.com/tier": "gold"}, True),
    ],
)
def test_label_selector_matches(text: str, labels: dict[str, str], expected: bool) -> None:
    assert parse_label_selector(text).matches(labels) is expected


@pytest.mark.parametrize("text", ["a=b c", "-a=1", "a in x", "a=" + "x" * 64, "a in (b c)"])
def test_malformed_label_selector_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match="label selector"):
        parse_label_selector(text)


@given(LABELS, LABELS)
def test_equality_forms_agree(wanted: dict[str, str], labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    expected = all(labels.get(key) == value for key, value in wanted.items())
    assert parse_label_selector(text).matches(labels) is expected
    assert selector_from_map(wanted).matches(labels) is expected
    assert selector_from_spec({"matchLabels": wanted}).matches(labels) is expected


@given(KEYS, st.lists(VALUES, min_size=1, max_size=4), LABELS)
def test_set_terms_are_each_others_opposite(
    key: str, values: list[str], labels: dict[str, str]
) -> None:
    listed = f"({','.join(values)})"
    inside = parse_label_selector(f"{key} in {listed}").matches(labels)
    outside = parse_label_selector(f"{key} notin {listed}").matches(labels)
    assert inside is not outside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metadata.name=x", True),
        ("metadata.name!=x", False),
        ("status.phase=", True),
        ("spec.hostNetwork=true,spec.count==3", True),
        ("spec.count=4", False),
    ],
)
def test_field_selector(text: str, expected: bool) -> None:
    obj = {"metadata": {"name": "x"}, "spec": {"hostNetwork": True, "count": 3}}
    assert parse_field_selector(text)(obj) is expected


def test_field_selector_without_operator_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"metadata\.name"):
        parse_field_selector("metadata.name")
