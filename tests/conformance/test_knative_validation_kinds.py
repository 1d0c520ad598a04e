"""Section 1.5: what is refused of a change, of a Route, a Revision and a DomainMapping."""

from __future__ import annotations

import pytest

from tests.conformance.knative import (
    Api,
    Obj,
    good,
    refused,
    service,
    with_template_name,
)


def test_a_template_with_a_name_changes_only_with_it(api: Api) -> None:
    obj = with_template_name("named-one")
    obj["metadata"]["name"] = "named"
    api.create("services", obj)
    shorter: Obj = {"spec": {"template": {"spec": {"timeoutSeconds": 11}}}}
    message = refused(api.merge("services", "named", shorter))
    assert message.startswith(
        "Saw the following changes without a name change (-old +new): spec.template.metadata.name\n"
    )
    assert message.endswith("\nspec.timeoutSeconds:\n\t-: 300\n\t+: 11")
    containers = [{"image": "other", "name": "user-container", "env": [{"name": "A"}]}]
    image: Obj = {"spec": {"template": {"spec": {"containers": containers}}}}
    message = refused(api.merge("services", "named", image))
    assert 'spec.containers[0].image:\n\t-: "counter"\n\t+: "other"' in message
    assert 'spec.containers[0].env:\n\t-: <none>\n\t+: [{"name": "A"}]' in message
    shorter["spec"]["template"]["metadata"] = {"name": "named-two"}
    assert good(api.merge("services", "named", shorter))["metadata"]["generation"] == 2


def test_a_revision_never_changes(api: Api) -> None:
    api.apply_ready(service("fixed"))
    for attempt in range(20):
        revision = api.get("revisions", "fixed-00001")
        revision["spec"]["timeoutSeconds"] = 11 + attempt
        response = api.put("revisions", revision)
        if response.status_code != 409:
            break
    message = refused(response)
    assert message.startswith("Immutable fields changed (-old +new): spec\n")
    assert "timeoutSeconds" in message
    patched = api.merge("revisions", "fixed-00001", {"metadata": {"labels": {"a": "b"}}})
    assert good(patched)["metadata"]["generation"] == 1


ROUTE_TARGETS: list[tuple[list[Obj], str]] = [
    (
        [{"percent": 100}],
        "expected exactly one, got neither: "
        "spec.traffic[0].configurationName, spec.traffic[0].revisionName",
    ),
    (
        [{"configurationName": "a", "revisionName": "b", "percent": 100}],
        "expected exactly one, got both: "
        "spec.traffic[0].configurationName, spec.traffic[0].revisionName",
    ),
]


@pytest.mark.parametrize(("traffic", "message"), ROUTE_TARGETS)
def test_a_route_names_what_it_leads_to(api: Api, traffic: list[Obj], message: str) -> None:
    route = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "alone"},
        "spec": {"traffic": traffic},
    }
    assert api.refusal("routes", route) == message


def mapping(domain: str, **ref: str) -> Obj:
    reference = {"kind": "Service", "name": "hello", "apiVersion": "serving.knative.dev/v1"}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": domain},
        "spec": {"ref": {**reference, **ref}},
    }


MAPPINGS: list[tuple[Obj, str]] = [
    *(
        (
            mapping(name),
            f'invalid name "{name}": must not be a subdomain of cluster local domain '
            '"cluster.local": metadata.name',
        )
        for name in ("x.svc.cluster.local", "svc.cluster.local", "x.cluster.local")
    ),
    (
        mapping("shop"),
        'invalid name "shop": name: Invalid value: "shop": should be a domain with at least two '
        "segments separated by dots: metadata.name",
    ),
    (
        {**mapping(""), "metadata": {"name": "shop.example.org", "generateName": "shop"}},
        "must not set the field(s): metadata.generateName",
    ),
    (mapping("shop.example.org", name=""), "missing field(s): spec.ref.name"),
    (mapping("shop.example.org", kind=""), "missing field(s): spec.ref.kind"),
    (
        mapping("shop.example.org", namespace="elsewhere"),
        "mismatched namespaces: spec.ref.namespace\n",
    ),
]


@pytest.mark.parametrize(("obj", "message"), MAPPINGS)
def test_domain_mappings(api: Api, obj: Obj, message: str) -> None:
    assert message in api.refusal("domainmappings", obj)
