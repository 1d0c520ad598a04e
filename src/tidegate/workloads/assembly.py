"""Puts the controllers of this room together."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.kube.controller import Context, Runnable
from tidegate.kube.resources import Resource
from tidegate.workloads.account_tokens import AccountTokenController, SignToken
from tidegate.workloads.deployments.controller import DeploymentController
from tidegate.workloads.endpoints.controller import EndpointsController
from tidegate.workloads.endpoints.mirroring import EndpointMirrorController
from tidegate.workloads.event_expiry import EventExpiryController
from tidegate.workloads.garbage.collector import GarbageCollector
from tidegate.workloads.jobs.controller import JobController
from tidegate.workloads.kinds import Kinds
from tidegate.workloads.namespaces import NamespaceController
from tidegate.workloads.replicasets import ReplicaSetController
from tidegate.workloads.service_accounts import ServiceAccountController
from tidegate.workloads.taint_eviction import TaintEvictionController


def build(
    context: Context, *, collected: Sequence[Resource], root_ca: str, sign: SignToken
) -> list[Runnable]:
    """All controllers, not running yet.

    Args:
        context: bound to the identity `system:kube-controller-manager`.
        collected: every built-in resource that may own, be owned or live in a namespace; those
            of CustomResourceDefinitions are found.
        root_ca: PEM text of the API's certificate authority, for `kube-root-ca.crt`.
        sign: makes the tokens of service accounts that Secrets hold.
    """
    kinds = Kinds(context, builtin=collected)
    jobs = JobController(context)
    return [
        kinds,
        DeploymentController(context).controller,
        ReplicaSetController(context).controller,
        jobs.controller,
        jobs.orphans,
        EndpointsController(context).controller,
        EndpointMirrorController(context).controller,
        ServiceAccountController(context, root_ca=root_ca).controller,
        AccountTokenController(context, root_ca=root_ca, sign=sign).controller,
        NamespaceController(context, kinds=kinds).controller,
        EventExpiryController(context).controller,
        TaintEvictionController(context).controller,
        GarbageCollector(context, kinds=kinds),
    ]
