"""`tidegate crds`: the definitions that teach a real cluster Knative's kinds as they are here."""

from __future__ import annotations

import json

import yaml

from tidegate.apis.crds import crds


def manifest() -> str:
    """All CustomResourceDefinitions as YAML documents, ready for `kubectl apply -f -`."""
    # A value of its own at every place: YAML would write shared ones as anchors, which nobody
    # wants to read.
    definitions = json.loads(json.dumps(crds()))
    return str(yaml.safe_dump_all(definitions, explicit_start=True, sort_keys=False, width=100))
