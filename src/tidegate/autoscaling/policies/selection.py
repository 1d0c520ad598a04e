"""Which pods go, and how the number of a Deployment moves: up at once, down by drained pods.

A pod is never deleted while it may hold a request. It is marked first; the gateway then sends it
nothing more and says when it is empty; only then does the Deployment shrink by it. Demand that
returns meanwhile takes marked pods back before it creates new ones, but none that the Deployment
has shrunk by: without its mark the ReplicaSet would delete another, one that works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PodView:
    """One pod that counts as a replica.

    Attributes:
        name: of the pod.
        ready: whether it can serve. One that loads or has crashed serves nobody.
        draining: whether it was marked to go.
        drained: whether it is marked and nothing can be in flight there.
        created: epoch seconds.
        sessions_until: when the last session that would come back to it ends, 0 without any.
    """

    name: str
    ready: bool
    draining: bool = False
    drained: bool = False
    created: float = 0.0
    sessions_until: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What to write now.

    Attributes:
        replicas: for the Deployment, None to leave it.
        drain: pods to mark.
        undrain: pods to take back.
        condemn: empty pods that must go before any other marked one, to be told apart before
            `replicas` is written.
    """

    replicas: int | None = None
    drain: tuple[str, ...] = ()
    undrain: tuple[str, ...] = ()
    condemn: tuple[str, ...] = ()


def plan(
    desired: int,
    present: int,
    pods: Sequence[PodView],
    in_flight: Mapping[str, int],
    *,
    is_settled: bool = True,
) -> Plan:
    """The next step from `present` replicas to `desired`.

    Args:
        desired: what the policy wants.
        present: the Deployment's `spec.replicas`.
        pods: the active pods as last seen; replicas that are not there yet are missing from it.
        in_flight: requests per pod as last reported; a pod without a report holds none.
        is_settled: whether the Deployment has brought about what was last written to it. While it
            has not, it may still delete as many pods as are empty.
    """
    draining = [pod for pod in pods if pod.draining]
    staying = [pod for pod in pods if not pod.draining]
    # Replicas asked for and not seen yet. More pods than replicas are on their way out already.
    missing = max(0, present - len(pods))
    drain: tuple[str, ...] = ()
    undrain: tuple[str, ...] = ()
    count = len(staying) + missing
    if desired > count:
        going = max(0, len(pods) - present)
        if not is_settled:
            going = max(going, sum(pod.drained for pod in draining))
        undrain = take_back(draining, min(desired - count, max(0, len(draining) - going)))
        draining = [pod for pod in draining if pod.name not in undrain]
        count = max(count + len(undrain), desired)
    elif desired < count:
        unborn = min(missing, count - desired)
        drain = choose(staying, count - desired - unborn, in_flight)
        count -= unborn + len(drain)
    # Marked pods count until they are empty; those marked only now are not known to be.
    leaving = tuple(pod.name for pod in draining if pod.drained)
    replicas = count + len(drain) + len(draining) - len(leaving)
    if replicas == present:
        return Plan(None, drain, undrain)
    # A mark alone would let the ReplicaSet take a marked pod that still works instead.
    mixed = drain or undrain or len(leaving) < len(draining)
    condemn = leaving if mixed and replicas < present else ()
    return Plan(replicas, drain, undrain, condemn)


def choose(pods: Sequence[PodView], count: int, in_flight: Mapping[str, int]) -> tuple[str, ...]:
    """The `count` pods that go first.

    Those that are not ready serve nobody, and a ReplicaSet gives them up first in any case. Then
    the idle ones: those without sessions, newest first, and those whose sessions end soonest. Then,
    for pods that take several requests at once and are never idle together, the ones with the
    least in flight: they drain until they are empty.
    """

    def rank(pod: PodView) -> tuple[bool, int, float, float, str]:
        busy = in_flight.get(pod.name, 0)
        return (pod.ready, busy, pod.sessions_until, -pod.created, pod.name)

    return tuple(pod.name for pod in sorted(pods, key=rank)[:count])


def take_back(draining: Sequence[PodView], count: int) -> tuple[str, ...]:
    """The `count` marked pods that serve again soonest: ready ones, oldest first."""

    def rank(pod: PodView) -> tuple[bool, bool, float, str]:
        return (not pod.ready, pod.drained, pod.created, pod.name)

    return tuple(pod.name for pod in sorted(draining, key=rank)[:count])
