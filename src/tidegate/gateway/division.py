"""How the places of a limited revision's pods are divided among gateways: pure arithmetic.

A pod with containerConcurrency c has c places, and each of them belongs to one gateway at a time,
or to none. Everyone computes the same quotas from what all can see; each gateway then gives up
and takes places by itself, and chooses which: the giver knows which of its pods are idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# While there are fewer places than gateways that want one, they take turns.
TURN_SECONDS = 0.25


@dataclass(frozen=True)
class Share:
    """One gateway's part.

    Attributes:
        gateway: its name.
        demand: requests that it has for the revision, wherever they are.
        held: places that are its own now.
        seconds: since when it has had places, or has had none.
    """

    gateway: str
    demand: int
    held: int
    seconds: float = 0.0


def quotas(capacity: int, shares: Sequence[Share]) -> dict[str, int]:
    """How many of `capacity` places each gateway is to have; their sum is `capacity` at most.

    Where demand is above capacity, places follow demand, at least one for each gateway that has
    any. Where it is below, places move only if somebody lacks one.
    """
    if not shares:
        return {}
    wanting = [share for share in shares if share.demand > 0]
    result = {share.gateway: 0 for share in shares}
    if sum(share.demand for share in wanting) <= capacity:
        result.update(_with_spare(capacity, shares))
    elif len(wanting) > capacity:
        result.update((share.gateway, 1) for share in sorted(wanting, key=_turn)[:capacity])
    else:
        result.update(_by_demand(capacity, wanting))
    return result


def _turn(share: Share) -> tuple[int, float, str]:
    has_turn = share.held > 0 and share.seconds < TURN_SECONDS
    rank = 0 if has_turn else 2 if share.held else 1
    return (rank, -share.seconds, share.gateway)


def _by_demand(capacity: int, wanting: Sequence[Share]) -> dict[str, int]:
    """One place each, and the others in proportion; what is within one place of that stays."""
    others = capacity - len(wanting)
    demand = sum(share.demand - 1 for share in wanting)
    exact = {share.gateway: 1 + others * (share.demand - 1) / demand for share in wanting}
    if sum(share.held for share in wanting) == capacity and all(
        share.held > 0 and abs(share.held - exact[share.gateway]) < 1 for share in wanting
    ):
        return {share.gateway: share.held for share in wanting}
    result = {gateway: int(number) for gateway, number in exact.items()}
    left = capacity - sum(result.values())
    by_claim = sorted(
        wanting,
        key=lambda share: (
            share.held <= result[share.gateway],
            result[share.gateway] - exact[share.gateway],
            share.gateway,
        ),
    )
    for share in by_claim[:left]:
        result[share.gateway] += 1
    return result


def _with_spare(capacity: int, shares: Sequence[Share]) -> dict[str, int]:
    """Every demand in full; what is over stays where it is, as far as it can."""
    spare = capacity - sum(share.demand for share in shares)
    are_plenty = spare >= 2 * len(shares)
    wish = {
        share.gateway: max(share.held - share.demand, 0)
        # A gateway that has neither demand nor a place gets one, so that its first need not wait.
        + (are_plenty and not share.held and not share.demand)
        for share in shares
    }
    rest = spare - sum(wish.values())
    if rest < 0:
        wish = _cut(wish, spare)
    else:
        each, more = divmod(rest, len(shares))
        for place, gateway in enumerate(sorted(wish, key=lambda name: (wish[name], name))):
            wish[gateway] += each + (place < more)
    return {share.gateway: share.demand + wish[share.gateway] for share in shares}


def _cut(wish: Mapping[str, int], spare: int) -> dict[str, int]:
    """Take from the largest until the sum is `spare`."""
    result: dict[str, int] = {}
    left = spare
    ordered = sorted(wish, key=lambda name: (wish[name], name))
    for place, gateway in enumerate(ordered):
        result[gateway] = min(wish[gateway], left // (len(ordered) - place))
        left -= result[gateway]
    return result


def give_up(
    held: Mapping[str, int],
    quota: int,
    loads: Mapping[str, int],
    lowered: Mapping[str, int],
) -> dict[str, int]:
    """What a gateway keeps, by pod, of the places it holds: idle ones go first.

    Args:
        held: places by pod.
        quota: how many may stay.
        loads: requests in flight by pod.
        lowered: what it has said before that it would keep; those that it is about to give up
            already go before others that are as busy.
    """
    kept = dict(held)
    going = sum(held.values()) - quota
    if going <= 0:
        return kept

    def busy(pod: str) -> int:
        return min(loads.get(pod, 0), held[pod])

    idle_first = sorted(held, key=lambda pod: (busy(pod), held[pod], pod))
    lowered_first = sorted(
        held, key=lambda pod: (lowered.get(pod, held[pod]) >= held[pod], busy(pod), pod)
    )
    for pod in idle_first:
        number = min(going, held[pod] - busy(pod))
        kept[pod] -= number
        going -= number
    for pod in lowered_first:
        number = min(going, kept[pod])
        kept[pod] -= number
        going -= number
    return kept


def take(
    held: Mapping[str, int], quota: int, free: Mapping[str, int], limit: int
) -> dict[str, int]:
    """What a gateway has, by pod, after it has taken free places: whole pods if it can.

    Args:
        held: places by pod.
        quota: how many it is to have.
        free: places by pod that belong to nobody.
        limit: places of a pod.
    """
    result = dict(held)
    left = {pod: number for pod, number in free.items() if number > 0}
    wanted = quota - sum(held.values())
    while wanted > 0 and left:
        needed = wanted

        def fit(pod: str, needed: int = needed) -> tuple[bool, bool, int, str]:
            is_whole = left[pod] == limit and needed >= limit
            return (not is_whole, not result.get(pod), left[pod], pod)

        pod = min(left, key=fit)
        number = min(wanted, left.pop(pod))
        result[pod] = result.get(pod, 0) + number
        wanted -= number
    return result
