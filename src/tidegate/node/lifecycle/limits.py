"""What a container may use, from its resources and its pod's class of service: pure."""

from __future__ import annotations

from tidegate.kube.objects import Object
from tidegate.kube.quantities import parse_quantity
from tidegate.node.fields import part
from tidegate.node.lifecycle.sources import ConfigError
from tidegate.node.lifecycle.status import qos_class
from tidegate.node.runtime.isolation import Limits

# As kubelet sets them.
_GUARANTEED = -997
_BEST_EFFORT = 1000


def limits_of(pod: Object, container: Object, *, machine_memory: int) -> Limits:
    """The limits of a container.

    Args:
        pod, container: with their `resources`.
        machine_memory: bytes, for the share that the kernel's choice of victim goes by.
    Raises:
        ConfigError: a quantity is none.
    """
    resources = part(container, "resources")
    memory = _amount(container, part(resources, "limits"), "memory")
    cpu = _amount(container, part(resources, "limits"), "cpu")
    requested = _amount(container, part(resources, "requests"), "memory") or memory or 0.0
    return Limits(
        memory=int(memory) if memory else None,
        cpu=cpu or None,
        oom_score=_oom_score(qos_class(pod), requested / max(1, machine_memory)),
    )


def _oom_score(qos: str, share: float) -> int:
    if qos == "Guaranteed":
        return _GUARANTEED
    if qos == "BestEffort":
        return _BEST_EFFORT
    return min(999, max(3, 1000 - int(1000 * share)))


def _amount(container: Object, amounts: Object, name: str) -> float | None:
    if name not in amounts:
        return None
    try:
        return float(parse_quantity(amounts[name]))
    except ValueError as error:
        raise ConfigError(f"container {container['name']}: resources: {name}: {error}") from error
