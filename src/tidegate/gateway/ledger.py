"""The Lease of a revision, on which its gateways write what is theirs."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.apis import gateway_leases as leases
from tidegate.apis.serving import REVISIONS
from tidegate.kube.controller import Context
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Key, Object, resource_version_of, uid_of
from tidegate.kube.resources import LEASES


class Ledger:
    """All of them, and the writes of one gateway, which fail if anybody has been faster.

    Args:
        context: the gateway's own.
    """

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._revisions = context.informers.of(REVISIONS)
        self.informer: Informer = context.informers.of(LEASES, label_selector=leases.REVISION)

    def has_revision(self, key: Key) -> bool:
        """Whether there is such a Revision."""
        return self._revisions.get(key.name, key.namespace) is not None

    def lease_of(self, key: Key) -> Object | None:
        """The Lease as last seen."""
        return self.informer.get(leases.lease_of_revision(key), key.namespace)

    async def write(
        self, key: Key, seen: Object | None, annotations: Mapping[str, str | None]
    ) -> None:
        """Write these annotations; None removes one.

        Args:
            key: of the revision.
            seen: the Lease that the decision was made on, None if there was none.
            annotations: by name.

        Raises:
            Conflict, AlreadyExists: it is not as it was seen.
            NotFound: it is gone, or its revision.
        """
        if seen is None:
            await self._client.create(LEASES, self._new(key, annotations))
            return
        metadata = {"annotations": annotations, "resourceVersion": resource_version_of(seen)}
        await self._client.patch(
            LEASES,
            leases.lease_of_revision(key),
            {"metadata": metadata},
            namespace=key.namespace,
        )

    async def delete(self, key: Key, seen: Object) -> None:
        """Delete the Lease.

        Raises:
            Conflict: it is not as it was seen.
        """
        await self._client.delete(
            LEASES,
            leases.lease_of_revision(key),
            namespace=key.namespace,
            resource_version=resource_version_of(seen),
        )

    def _new(self, key: Key, annotations: Mapping[str, str | None]) -> Object:
        revision = self._revisions.get(key.name, key.namespace)
        if revision is None:
            raise NotFound(f"revision {key} is gone")
        owner = {
            "apiVersion": REVISIONS.api_version,
            "kind": REVISIONS.kind,
            "name": key.name,
            "uid": uid_of(revision),
        }
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": leases.lease_of_revision(key),
                "namespace": key.namespace,
                "labels": {leases.REVISION: key.name},
                "annotations": dict(annotations),
                "ownerReferences": [owner],
            },
            "spec": {},
        }
