"""The list of built-in kinds."""

from __future__ import annotations

from tidegate.apiserver.registry.custom import (
    default_definition,
    validate_definition,
    warn_of_definition,
)
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.kinds.core import CORE_KINDS
from tidegate.apiserver.registry.kinds.endpoints import ENDPOINT_KINDS
from tidegate.apiserver.registry.kinds.events import EVENT_KINDS
from tidegate.apiserver.registry.kinds.ingresses import INGRESS_KINDS
from tidegate.apiserver.registry.kinds.jobs import JOB_KINDS
from tidegate.apiserver.registry.kinds.leases import LEASE_KINDS
from tidegate.apiserver.registry.kinds.priorityclasses import PRIORITY_CLASS_KINDS
from tidegate.apiserver.registry.kinds.roles import ROLE_KINDS
from tidegate.apiserver.registry.kinds.services import SERVICE_KINDS
from tidegate.apiserver.registry.kinds.workloads import WORKLOAD_KINDS
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS

BUILTIN_KINDS = (
    *CORE_KINDS,
    *EVENT_KINDS,
    *WORKLOAD_KINDS,
    *JOB_KINDS,
    *SERVICE_KINDS,
    *ENDPOINT_KINDS,
    *INGRESS_KINDS,
    *LEASE_KINDS,
    *ROLE_KINDS,
    *PRIORITY_CLASS_KINDS,
    builtin(
        CUSTOM_RESOURCE_DEFINITIONS,
        "apiextensions",
        default=default_definition,
        validate=validate_definition,
        warn=warn_of_definition,
        status_subresource=True,
        generation=True,
    ),
)
