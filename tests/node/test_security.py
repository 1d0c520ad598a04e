"""Identities, limits and what is not enforced, from a pod's words: pure."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.kube.objects import Object
from tidegate.node.lifecycle.limits import limits_of
from tidegate.node.lifecycle.security import identity_of, unenforced
from tidegate.node.lifecycle.sources import ConfigError

ALL = (1 << 41) - 1
NET_BIND_SERVICE = 1 << 10
SYS_ADMIN = 1 << 21


def pod(container: Object | None = None, **spec: Any) -> tuple[Object, Object]:
    main = {"name": "main", **(container or {})}
    return {"spec": {"containers": [main], **spec}}, main


def test_the_containers_word_is_the_last() -> None:
    of_pod = {"runAsUser": 1, "runAsGroup": 2, "supplementalGroups": [3, 4], "fsGroup": 4}
    made, main = pod({"securityContext": {"runAsUser": 5}}, securityContext=of_pod)
    identity = identity_of(made, main, own_user=0)
    assert (identity.user, identity.group, identity.groups) == (5, 2, (3, 4))


def test_a_user_without_a_group_is_in_roots() -> None:
    identity = identity_of(*pod({"securityContext": {"runAsUser": 5}}), own_user=0)
    assert (identity.user, identity.group) == (5, 0)
    identity = identity_of(*pod(), own_user=0)
    assert (identity.user, identity.group) == (None, None)


@pytest.mark.parametrize(
    ("context", "own", "good"),
    [
        ({"runAsNonRoot": True}, 0, False),
        ({"runAsNonRoot": True}, 1000, True),
        ({"runAsNonRoot": True, "runAsUser": 0}, 1000, False),
        ({"runAsNonRoot": True, "runAsUser": 7}, 0, True),
        ({"runAsNonRoot": False}, 0, True),
    ],
)
def test_run_as_non_root(context: Object, own: int, good: bool) -> None:
    for spec in (pod({"securityContext": context}), pod(securityContext=context)):
        if good:
            identity_of(*spec, own_user=own)
        else:
            with pytest.raises(ConfigError, match="runAsNonRoot policy: main"):
                identity_of(*spec, own_user=own)


@pytest.mark.parametrize(
    ("context", "has", "lacks"),
    [
        ({"capabilities": {"drop": ["ALL"]}}, 0, ALL),
        ({"capabilities": {"drop": ["all"], "add": ["NET_BIND_SERVICE"]}}, NET_BIND_SERVICE, 1),
        ({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}, SYS_ADMIN | 1, 1 << 16),
        ({"capabilities": {"drop": ["CHOWN"]}}, NET_BIND_SERVICE, 1),
        ({"capabilities": {"add": ["ALL"]}}, ALL, 0),
    ],
)
def test_capabilities(context: Object, has: int, lacks: int) -> None:
    kept = identity_of(*pod({"securityContext": context}), own_user=0).capabilities
    assert kept is not None
    assert (kept & has, kept & lacks) == (has, 0)


def test_nothing_said_leaves_the_capabilities() -> None:
    for context in ({}, {"privileged": True, "capabilities": {"drop": ["ALL"]}}):
        spec = pod({"securityContext": context})
        assert identity_of(*spec, own_user=0).capabilities is None


@pytest.mark.parametrize(
    ("resources", "memory", "cpu", "score"),
    [
        ({}, None, None, 1000),
        ({"limits": {"cpu": "250m", "memory": "1Gi"}}, 1 << 30, 0.25, -997),
        ({"requests": {"memory": "1Gi"}}, None, None, 750),
        ({"requests": {"memory": "4Gi"}, "limits": {"memory": "5Gi"}}, 5 << 30, None, 3),
        ({"requests": {"cpu": "1"}}, None, None, 999),
    ],
)
def test_limits(resources: Object, memory: int | None, cpu: float | None, score: int) -> None:
    limits = limits_of(*pod({"resources": resources}), machine_memory=4 << 30)
    assert (limits.memory, limits.cpu, limits.oom_score) == (memory, cpu, score)


def test_a_limit_that_is_no_quantity_is_named() -> None:
    with pytest.raises(ConfigError, match="main: resources: memory: 'much' is no quantity"):
        limits_of(*pod({"resources": {"limits": {"memory": "much"}}}), machine_memory=1)


def test_what_is_not_kept_to_is_said() -> None:
    made, main = pod(
        {
            "resources": {"limits": {"ephemeral-storage": "1Gi"}},
            "securityContext": {
                "seccompProfile": {"type": "Localhost"},
                "procMount": "Unmasked",
            },
        },
        volumes=[{"name": "a", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}}],
        securityContext={"sysctls": [{"name": "a", "value": "b"}]},
        dnsConfig={"nameservers": ["127.0.0.1"]},
        shareProcessNamespace=True,
    )
    said = [text.partition(":")[0] for text in unenforced(made, main)]
    assert said == [
        "limits.ephemeral-storage",
        "emptyDir.sizeLimit",
        "emptyDir.medium",
        "sysctls",
        "dnsConfig",
        "shareProcessNamespace",
        "seccompProfile",
        "procMount",
    ]
    assert (
        unenforced(*pod({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}})) == []
    )
