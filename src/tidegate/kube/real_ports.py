"""The ports that a pod really listens on: written by the node, read by who leads requests there.

On one machine every pod listens on ports of its own; on a cluster there is no such annotation, for
a pod has its container ports to itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from tidegate.kube.objects import Object, annotations_of

PORTS_ANNOTATION = "tidegate.dev/ports"


def real_ports_of(pod: Object) -> dict[int, int]:
    """Container port to real port, from the pod's annotation.

    One that cannot be read counts as none, for a bad pod must not take its Service down.
    """
    text = annotations_of(pod).get(PORTS_ANNOTATION)
    if not text:
        return {}
    try:
        ports: Any = json.loads(text)
        return {int(port): int(real) for port, real in cast("dict[str, Any]", ports).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def ports_annotation(ports: Mapping[int, int]) -> str:
    """The annotation's value."""
    return json.dumps({str(port): real for port, real in sorted(ports.items())})
