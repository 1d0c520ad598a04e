"""API objects as the gateway reads them."""

from __future__ import annotations

import pytest

from tidegate.gateway.reading import revision_name_of_slice
from tidegate.serving.revisions.children import make_services
from tidegate.workloads.endpoints.slices import endpoint_slices


@pytest.mark.parametrize("revision", ["hello-00001", f"{'long' * 14}-00001"])
def test_only_slices_of_a_private_service_belong_to_their_revision(revision: str) -> None:
    metadata = {"name": revision, "namespace": "default", "uid": "u"}
    made = make_services(
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Revision",
            "metadata": metadata,
            "spec": {"containers": [{"image": "i"}]},
        }
    )
    pod = {
        "metadata": {"name": "p", "namespace": "default", "uid": "p"},
        "spec": {},
        "status": {"podIP": "127.0.0.1"},
    }
    slices = [
        endpoint_slices({**service, "metadata": {**service["metadata"], "uid": "s"}}, [pod])[0]
        for service in made
    ]
    found = [revision_name_of_slice(piece) for piece in slices]
    assert found == ["", revision]
    assert all(len(service["metadata"]["name"]) <= 63 for service in made)
