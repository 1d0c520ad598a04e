"""RBAC's arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apiserver.authz.policy import cluster_role_bindings, cluster_roles
from tidegate.apiserver.authz.rbac import (
    Action,
    Rule,
    aggregated,
    allows,
    describe,
    rules_of,
    uncovered,
)


def rule(groups: str, resources: str, verbs: str, names: str = "") -> Rule:
    return Rule(
        verbs=frozenset(verbs.split()),
        api_groups=frozenset("" if g == "core" else g for g in groups.split()),
        resources=frozenset(resources.split()),
        resource_names=frozenset(names.split()),
    )


@pytest.mark.parametrize(
    ("granted", "action", "expected"),
    [
        (rule("core", "pods", "get"), Action("get", "", "pods"), True),
        (rule("core", "pods", "get"), Action("list", "", "pods"), False),
        (rule("apps", "pods", "get"), Action("get", "", "pods"), False),
        (rule("*", "*", "*"), Action("get", "apps", "deployments", "status"), True),
        (rule("core", "pods", "get"), Action("get", "", "pods", "log"), False),
        (rule("core", "pods/log", "get"), Action("get", "", "pods", "log"), True),
        (rule("core", "pods/log", "get"), Action("get", "", "pods"), False),
        (rule("apps", "*/scale", "get"), Action("get", "apps", "deployments", "scale"), True),
        (rule("core", "pods", "get", "a"), Action("get", "", "pods", name="a"), True),
        (rule("core", "pods", "get", "a"), Action("get", "", "pods", name="b"), False),
        (rule("core", "pods", "create", "a"), Action("create", "", "pods"), False),
        (rule("core", "*", "get"), Action("get", path="/healthz"), False),
    ],
)
def test_allows(granted: Rule, action: Action, expected: bool) -> None:
    assert allows(granted, action) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/x", False),
        ("/apis/*", "/apis/apps/v1", True),
        ("/apis/*", "/apis", False),
        ("*", "/anything", True),
    ],
)
def test_paths(pattern: str, path: str, expected: bool) -> None:
    granted = Rule(verbs=frozenset(("get",)), non_resource_urls=(pattern,))
    assert allows(granted, Action("get", path=path)) is expected


@pytest.mark.parametrize(
    ("wanted", "owned", "missing"),
    [
        (rule("core", "pods", "get"), rule("core", "pods", "get list"), 0),
        (rule("core", "pods services", "get list"), rule("core", "pods", "get"), 3),
        (rule("core", "pods", "*"), rule("core", "pods", "get"), 1),
        (rule("core", "*", "get"), rule("core", "pods", "get"), 1),
        (rule("core", "pods", "get"), rule("core", "pods", "get", "a"), 1),
        (rule("core", "pods", "get", "a"), rule("core", "pods", "get", "a b"), 0),
        (rule("core", "pods", "get", "a"), rule("core", "pods", "get"), 0),
        (rule("apps", "deployments/scale", "get"), rule("apps", "*/scale", "get"), 0),
    ],
)
def test_uncovered(wanted: Rule, owned: Rule, missing: int) -> None:
    assert len(uncovered([wanted], [owned])) == missing


WORDS = st.frozensets(st.sampled_from(["a", "b", "*"]), min_size=1)
RULES = st.builds(
    Rule,
    verbs=WORDS,
    api_groups=WORDS,
    resources=st.frozensets(st.sampled_from(["x", "y", "x/s", "*/s", "*"]), min_size=1),
    resource_names=st.frozensets(st.sampled_from(["n", "m"])),
)
ACTIONS = st.builds(
    Action,
    verb=st.sampled_from(["a", "b", "c"]),
    group=st.sampled_from(["a", "b", "c"]),
    resource=st.sampled_from(["x", "y", "z"]),
    subresource=st.sampled_from(["", "s"]),
    name=st.sampled_from(["", "n", "m"]),
)


@given(wanted=RULES, owned=st.lists(RULES, max_size=3), action=ACTIONS)
def test_what_is_covered_allows_nothing_more(
    wanted: Rule, owned: list[Rule], action: Action
) -> None:
    if not uncovered([wanted], owned) and allows(wanted, action):
        assert any(allows(one, action) for one in owned)


def test_aggregation_follows_labels() -> None:
    def role(name: str, labels: dict[str, str], *rules: dict[str, object]) -> dict[str, object]:
        return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)}

    first, second = {"verbs": ["get"]}, {"verbs": ["list"]}
    target = role("t", {"to": "view"})
    target["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}
    others = [role("b", {"to": "view"}, second, first), role("a", {"to": "view"}, first)]
    assert aggregated(target, [target, *others, role("c", {"to": "edit"})]) == [first, second]
    assert aggregated(others[0], others) is None


def test_the_policy_is_sound() -> None:
    roles = {role["metadata"]["name"]: role for role in cluster_roles()}
    assert len(roles) == len(cluster_roles())
    for binding in cluster_role_bindings("node"):
        assert binding["roleRef"]["name"] in roles, binding["metadata"]["name"]
    everything = rules_of(roles["cluster-admin"])
    for name, role in roles.items():
        assert not uncovered(rules_of(role), everything), name
        if name != "cluster-admin":
            assert uncovered(everything, rules_of(role)), name


@pytest.mark.parametrize("part", ["knative-serving-autoscaler", "tidegate:gateway", "system:node"])
def test_parts_cannot_do_what_they_do_not_need(part: str) -> None:
    (role,) = (r for r in cluster_roles() if r["metadata"]["name"] == part)
    rules = rules_of(role)
    rbac = "rbac.authorization.k8s.io"
    for action in (
        Action("create", rbac, "clusterrolebindings"),
        Action("create", "", "pods"),
        Action("delete", "", "namespaces", name="default"),
        Action("escalate", rbac, "clusterroles"),
    ):
        assert not any(allows(one, action) for one in rules), action


def test_rules_are_described_as_kubernetes_does() -> None:
    assert describe(rule("apps", "deployments", "get")) == (
        '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}'
    )
