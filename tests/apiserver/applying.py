"""Server-side apply without a server, and what two people may apply."""

from __future__ import annotations

from hypothesis import strategies as st

from tidegate.apiserver.patch.apply import Manager, server_side_apply
from tidegate.apiserver.registry.builtin import default_registry
from tidegate.kube.resources import DEPLOYMENTS

REGISTRY = default_registry()
PLACE = REGISTRY.place(REGISTRY.of(DEPLOYMENTS))
NAMES = st.sampled_from(["a", "b", "c"])
CONFIGS = st.builds(
    lambda labels, containers, replicas: {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", **({"labels": labels} if labels else {})},
        "spec": {
            **({"replicas": replicas} if replicas is not None else {}),
            "template": {
                "spec": {"containers": [{"name": n, "image": i} for n, i in containers.items()]}
            },
        },
    },
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.dictionaries(NAMES, NAMES, min_size=1, max_size=3),
    st.none() | st.integers(0, 3),
)
ALICE = Manager("alice", "Apply", "apps/v1")
BOB = Manager("bob", "Apply", "apps/v1")


def apply_purely(live, config, manager):
    """What becomes of `live`, with its managed fields."""
    result, managed = server_side_apply(live, config, PLACE, manager, force=True, now="now")
    return {**result, "metadata": {**result["metadata"], "managedFields": managed}}
