"""Which service the seconds and the cost of a pod belong to, ended pods included.

A pod that has ended is no longer in the API; its name, which begins with that of its revision,
still says whose it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.console.settings import Usage
from tidegate.kube.objects import Key

# <revision>-deployment-<hash>-<five characters>, as Knative and Kubernetes name pods, and
# <service>-<generation> as Knative names revisions.
_POD = re.compile(r"^(?P<revision>.+)-deployment-[a-z0-9]+-[a-z0-9]{5}$")
_REVISION = re.compile(r"^(?P<service>.+)-\d{5,}$")


@dataclass(frozen=True)
class Bill:
    """What pods have used together.

    Attributes:
        pods: how many there were or are.
        seconds: of all of them.
        cost: in the currency of the price table.
        per_hour: what those that run cost in an hour.
    """

    pods: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    per_hour: float = 0.0

    def plus(self, usage: Usage) -> Bill:
        is_priced = usage.running and usage.seconds > 0
        rate = usage.cost / usage.seconds * 3600 if is_priced else 0.0
        return Bill(
            self.pods + 1,
            self.seconds + usage.seconds,
            self.cost + usage.cost,
            self.per_hour + rate,
        )


def revision_of(pod: str) -> str:
    """The revision whose pod has this name, empty for a pod of none."""
    match = _POD.match(pod)
    return match["revision"] if match else ""


def service_of(usage: Usage, owners: dict[Key, str]) -> Key | None:
    """The service whose pod this is or was.

    Args:
        owners: service names by revision, for revisions that do not bear their service's name.
    """
    revision = revision_of(usage.pod)
    known = owners.get(Key(usage.namespace, revision))
    if known:
        return Key(usage.namespace, known)
    match = _REVISION.match(revision)
    return Key(usage.namespace, match["service"]) if match else None


def bills(usages: Iterable[Usage], owners: dict[Key, str]) -> dict[Key, Bill]:
    """The bill of each service."""
    result: dict[Key, Bill] = {}
    for usage in usages:
        service = service_of(usage, owners)
        if service is not None:
            result[service] = result.get(service, Bill()).plus(usage)
    return result
