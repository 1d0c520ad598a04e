"""Selections against a plain model of label selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apiserver.registry.builtin import default_registry
from tidegate.apiserver.selection import exact_name, selection
from tidegate.apiserver.storage.stored import Stored
from tidegate.kube.resources import CONFIG_MAPS

SPEC = default_registry().of(CONFIG_MAPS)
KEYS = st.sampled_from(["a", "b", "example.com/c"])
VALUES = st.sampled_from(["", "1", "2", "x-y"])
LABELS = st.dictionaries(KEYS, VALUES)
TERMS = st.one_of(
    st.tuples(st.just("="), KEYS, VALUES),
    st.tuples(st.just("!="), KEYS, VALUES),
    st.tuples(st.just("in"), KEYS, st.lists(VALUES, min_size=1, max_size=3)),
    st.tuples(st.just("notin"), KEYS, st.lists(VALUES, min_size=1, max_size=3)),
    st.tuples(st.just("exists"), KEYS, st.none()),
    st.tuples(st.just("absent"), KEYS, st.none()),
)


def text(term) -> str:
    operator, key, value = term
    if operator in ("in", "notin"):
        return f"{key} {operator} ({','.join(value)})"
    return {"exists": key, "absent": f"!{key}"}.get(operator, f"{key}{operator}{value}")


def holds(term, labels) -> bool:
    operator, key, value = term
    return {
        "=": lambda: labels.get(key) == value,
        "!=": lambda: labels.get(key) != value,
        "in": lambda: key in labels and labels[key] in value,
        "notin": lambda: key not in labels or labels[key] not in value,
        "exists": lambda: key in labels,
        "absent": lambda: key not in labels,
    }[operator]()


@given(LABELS, st.lists(TERMS, max_size=3))
def test_label_selectors_agree_with_the_model(labels, terms):
    stored = Stored({"metadata": {"name": "x", "labels": labels}}, b"{}", 1)
    matches = selection(SPEC, None, ",".join(map(text, terms)), "").matches
    found = matches is None or matches(stored)
    assert found == all(holds(term, labels) for term in terms)


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name==a", "a"),
        ("metadata.namespace=n,metadata.name=a", "a"),
        ("metadata.name!=a", ""),
        ("metadata.namespace=a", ""),
        ("metadata.name=a/b", ""),
        ("", ""),
    ],
)
def test_the_name_that_a_field_selector_allows(selector: str, name: str) -> None:
    assert exact_name(selector) == name
