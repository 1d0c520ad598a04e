"""Whatever is sent, admission answers with an object or a refusal, and settles at once."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.apis.kinds import KindDefinition
from tidegate.apis.registry import KINDS
from tidegate.kube.errors import BadRequest, Invalid

_TEXTS = st.sampled_from(
    ["", "a", "hello", "hello-00001", "Bad Name", "/x", "/", "h2c", "60s", "-1", "TCP", "Service"]
)
_NUMBERS = st.sampled_from([-1, 0, 1, 50, 100, 8012, 8080, 70000, 2**40])
_JUNK = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS, st.just([]), st.just({}))
_KEYS = st.sampled_from(
    [
        "a",
        "autoscaling.knative.dev/min-scale",
        "autoscaling.knative.dev/window",
        "autoscaling.knative.dev/class",
        "serving.knative.dev/rollout-duration",
    ]
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema, mostly right."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(_NUMBERS, _TEXTS)
    if "properties" in schema:
        fields = {name: st.deferred(_later(s)) for name, s in schema["properties"].items()}
        return st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=6).flatmap(
            lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
        )
    if isinstance(schema.get("additionalProperties"), dict):
        return st.dictionaries(_KEYS, values(schema["additionalProperties"]), max_size=2)
    kinds = {
        "array": lambda: st.lists(values(schema["items"]), max_size=3),
        "boolean": st.booleans,
        "integer": lambda: _NUMBERS,
        "object": lambda: st.dictionaries(_KEYS, _JUNK, max_size=2),
        "string": lambda: _TEXTS,
    }
    return kinds[schema["type"]]()


def _later(schema: dict[str, Any]) -> Any:
    return lambda: st.one_of(values(schema), values(schema), values(schema), st.none())


def objects(definition: KindDefinition) -> st.SearchStrategy[dict[str, Any]]:
    spec = definition.schema()["properties"]["spec"]
    texts = st.dictionaries(_KEYS, _TEXTS, max_size=2)
    metadata = st.fixed_dictionaries(
        {"name": st.sampled_from(["hello", "a.b", "Bad"]), "namespace": st.just("default")},
        optional={"labels": texts, "annotations": texts},
    )
    return st.fixed_dictionaries(
        {
            "apiVersion": st.just(definition.resource.api_version),
            "kind": st.just(definition.resource.kind),
            "metadata": metadata,
            "spec": values(spec),
        }
    )


@pytest.mark.parametrize("definition", KINDS, ids=lambda d: d.resource.qualified)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_admission_answers_everything(definition: KindDefinition, data: st.DataObject) -> None:
    obj = data.draw(objects(definition))
    old = data.draw(st.one_of(st.none(), objects(definition)))
    try:
        admitted = definition.admit(obj, old, "me")
    except (BadRequest, Invalid):
        return
    assert definition.admit(admitted, admitted, "me") == admitted


@pytest.mark.parametrize("definition", KINDS, ids=lambda d: d.resource.qualified)
@settings(max_examples=50, deadline=None)
@given(junk=st.recursive(_JUNK, lambda c: st.lists(c) | st.dictionaries(_TEXTS, c), max_leaves=8))
def test_junk_is_refused_or_ignored(definition: KindDefinition, junk: Any) -> None:
    obj = {
        "apiVersion": definition.resource.api_version,
        "kind": definition.resource.kind,
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": junk,
    }
    with contextlib.suppress(BadRequest, Invalid):
        definition.admit(obj, None, "me")
