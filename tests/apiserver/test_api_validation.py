"""What the pipeline refuses, with Kubernetes' words and field paths; and what it fills in."""

from __future__ import annotations

import pytest

from tests.apiserver.minimal import container, deployment, meta, pod, service
from tests.support.api import running_api
from tidegate.kube import resources as r
from tidegate.kube.errors import BadRequest, Forbidden, Invalid, NotFound
from tidegate.kube.objects import key_of, thaw

INVALID = [
    (r.PODS, pod(containers=[]), "spec.containers: Required value"),
    (r.PODS, pod(containers=[{"name": "a"}]), "spec.containers[0].image: Required value"),
    (
        r.PODS,
        pod(containers=container() + container()),
        'spec.containers[1].name: Duplicate value: "main"',
    ),
    (
        r.PODS,
        pod(containers=container(imagePullPolicy="Maybe")),
        'spec.containers[0].imagePullPolicy: Unsupported value: "Maybe": supported values:'
        ' "Always", "IfNotPresent", "Never"',
    ),
    (
        r.PODS,
        pod(containers=container(ports=[{"containerPort": 70000}])),
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and"
        " 65535, inclusive",
    ),
    (
        r.PODS,
        pod(containers=container(volumeMounts=[{"name": "v", "mountPath": "/v"}])),
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ),
    (
        r.PODS,
        pod(containers=container(readinessProbe={"periodSeconds": 1})),
        "spec.containers[0].readinessProbe: Required value: must specify a handler type",
    ),
    (
        r.DEPLOYMENTS,
        deployment({"containers": [{"name": "a"}]}),
        "spec.template.spec.containers[0].image: Required value",
    ),
    (
        r.DEPLOYMENTS,
        deployment(replicas=-1),
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        r.DEPLOYMENTS,
        deployment(selector={"matchLabels": {"app": "y"}}),
        'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match'
        " template `labels`",
    ),
    (
        r.DEPLOYMENTS,
        deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when"
        " `maxSurge` is 0",
    ),
    (r.SERVICES, service(ports=[]), "spec.ports: Required value"),
    (
        r.SERVICES,
        service(ports=[{"port": 80}, {"port": 81}]),
        "spec.ports[0].name: Required value",
    ),
    (
        r.SERVICES,
        service(type="NodePort", ports=[{"port": 80, "nodePort": 80}]),
        "provided port is not in the valid range. The range of valid ports is 30000-32767",
    ),
    (
        r.SERVICES,
        {"metadata": meta(name="1x"), "spec": {"ports": [{"port": 80}]}},
        "a DNS-1035 label must consist of",
    ),
    (
        r.CONFIG_MAPS,
        {"metadata": meta(labels={"a b": "1"})},
        "metadata.labels: Invalid value",
    ),
    (r.CONFIG_MAPS, {"metadata": meta(), "data": {"a/b": "1"}}, "a valid config key must consist"),
    (r.CONFIG_MAPS, {"metadata": meta(name="Big")}, "a lowercase RFC 1123 subdomain must consist"),
    (
        r.ROLE_BINDINGS,
        {"metadata": meta(), "roleRef": {"kind": "Nothing", "name": "x"}},
        'roleRef.kind: Unsupported value: "Nothing"',
    ),
    (
        r.INGRESSES,
        {"metadata": meta(), "spec": {"rules": [{"http": {"paths": [{"path": "/"}]}}]}},
        "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
    ),
]


@pytest.mark.parametrize(("resource", "obj", "message"), INVALID, ids=lambda v: str(v)[:40])
async def test_invalid_objects_are_refused_with_field_and_reason(tmp_path, resource, obj, message):
    async with running_api(tmp_path) as api:
        with pytest.raises(Invalid) as refused:
            await api.client().create(resource, obj)
        assert message in refused.value.message
        assert f'"{obj["metadata"]["name"]}" is invalid: ' in refused.value.message
        causes = refused.value.status()["details"]["causes"]
        assert all(cause["field"] and cause["reason"] for cause in causes)
        assert (await api.client().list(resource)).items == []


@pytest.mark.parametrize(
    ("resource", "obj", "message"),
    [
        (
            r.DEPLOYMENTS,
            deployment(replica=1),
            'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error:'
            ' unknown field "spec.replica"',
        ),
        (r.PODS, pod(containers=container(imag="x")), 'unknown field "spec.containers[0].imag"'),
        (
            r.DEPLOYMENTS,
            deployment(replicas="three"),
            "json: cannot unmarshal string into Go struct field Deployment.spec.replicas of type"
            " int32",
        ),
        (r.SECRETS, {"metadata": meta(), "data": {"a": "%"}}, "illegal base64 data"),
        (r.PODS, {"kind": "Service", "metadata": meta()}, "expected kind Pod"),
        (
            r.PODS,
            pod(containers=container(resources={"limits": {"cpu": "much"}})),
            "quantities must match the regular expression",
        ),
        (r.PODS, {"metadata": meta(resourceVersion="1")}, "resourceVersion should not be set"),
    ],
    ids=["unknown", "nested", "type", "base64", "kind", "quantity", "version"],
)
async def test_objects_that_cannot_be_read_are_bad_requests(tmp_path, resource, obj, message):
    async with running_api(tmp_path) as api:
        with pytest.raises(BadRequest) as refused:
            await api.client().create(resource, obj)
        assert message in refused.value.message


async def test_a_namespace_must_be_there_and_not_ending(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
            await client.create(r.CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "nowhere"}})
        await client.create(r.NAMESPACES, {"metadata": {"name": "ending"}})
        await client.delete(r.NAMESPACES, "ending")
        with pytest.raises(Forbidden) as refused:
            await client.create(r.CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "ending"}})
        assert refused.value.causes[0].reason == "NamespaceTerminating"


async def test_generation_counts_changes_of_the_spec_only(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        created = thaw(await client.create(r.DEPLOYMENTS, deployment()))
        assert created["metadata"]["generation"] == 1
        labelled = await client.patch(
            r.DEPLOYMENTS, "x", {"metadata": {"labels": {"a": "1"}}}, namespace="default"
        )
        assert labelled["metadata"]["generation"] == 1
        status = {"status": {"replicas": 1}, "spec": {"replicas": 9}}
        reported = await client.patch(
            r.DEPLOYMENTS, "x", status, namespace="default", subresource="status"
        )
        assert reported["metadata"]["generation"] == 1
        assert reported["spec"]["replicas"] == 1
        scaled = await client.patch(
            r.DEPLOYMENTS,
            "x",
            {"spec": {"replicas": 3}},
            namespace="default",
            subresource="scale",
        )
        assert scaled["status"]["selector"] == "app=x"
        found = await client.get(r.DEPLOYMENTS, "x", namespace="default")
        assert (found["metadata"]["generation"], found["spec"]["replicas"]) == (2, 3)
        assert found["status"]["replicas"] == 1


async def test_services_get_addresses_and_ports_that_stay(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        created = await client.create(r.SERVICES, service(type="NodePort"))
        address, port = created["spec"]["clusterIP"], created["spec"]["ports"][0]["nodePort"]
        assert address.startswith("127.96.")
        assert 30000 <= port <= 32767
        replaced = {**service(type="NodePort"), "metadata": created["metadata"]}
        again = await client.update(r.SERVICES, replaced)
        assert again["spec"]["clusterIP"] == address
        assert again["spec"]["ports"][0]["nodePort"] == port
        other = service(clusterIP=address)
        other["metadata"]["name"] = "other"
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await client.create(r.SERVICES, other)
        with pytest.raises(Invalid, match="may not change once set"):
            await client.patch(
                r.SERVICES, "x", {"spec": {"clusterIP": "127.96.1.1"}}, namespace="default"
            )
        headless = service(clusterIP="None")
        headless["metadata"]["name"] = "headless"
        assert (await client.create(r.SERVICES, headless))["spec"]["clusterIP"] == "None"


async def test_secrets_take_text_and_keep_it_as_base64(tmp_path):
    async with running_api(tmp_path) as api:
        created = await api.client().create(
            r.SECRETS, {"metadata": meta(), "stringData": {"a": "b"}}
        )
        assert created["data"] == {"a": "Yg=="}
        assert "stringData" not in created
        assert created["type"] == "Opaque"


async def test_immutable_config_maps_stay_as_they_are(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        obj = {"metadata": meta(), "data": {"a": "1"}, "immutable": True}
        await client.create(r.CONFIG_MAPS, obj)
        for patch in ({"data": {"a": "2"}}, {"immutable": False}):
            with pytest.raises(Invalid, match="field is immutable when `immutable` is set"):
                await client.patch(r.CONFIG_MAPS, "x", patch, namespace="default")


async def test_generated_names(tmp_path):
    async with running_api(tmp_path) as api:
        obj = {"metadata": {"generateName": "job-", "namespace": "default"}}
        names = {
            (await api.client().create(r.CONFIG_MAPS, obj))["metadata"]["name"] for _ in range(20)
        }
        assert len(names) == 20
        assert all(name.startswith("job-") and len(name) == 9 for name in names)


async def test_a_rule_that_came_later_holds_nothing_up(tmp_path):
    """What was stored before a rule can be changed elsewhere, and made no worse."""
    async with running_api(tmp_path) as api:
        client = api.client()
        made = await client.create(r.DEPLOYMENTS, deployment())
        old = thaw(made)
        old["spec"]["template"]["spec"]["hostname"] = "Not.One"
        await api.store.put("apps/deployments", key_of(made), old)
        changed = await client.patch(
            r.DEPLOYMENTS, "x", {"metadata": {"labels": {"a": "b"}}}, namespace="default"
        )
        assert changed["spec"]["template"]["spec"]["hostname"] == "Not.One"
        worse = {"spec": {"template": {"spec": {"hostname": "Nor.This"}}}}
        with pytest.raises(Invalid, match="hostname"):
            await client.patch(r.DEPLOYMENTS, "x", worse, namespace="default")
        with pytest.raises(Invalid, match="replicas"):
            await client.patch(r.DEPLOYMENTS, "x", {"spec": {"replicas": -1}}, namespace="default")


@pytest.mark.parametrize("time", ["2026-01-02", "2026-01-02 03:04:05Z", "20260102T030405Z", "now"])
async def test_a_time_is_one_of_rfc_3339(tmp_path, time):
    async with running_api(tmp_path) as api:
        lease = {"metadata": meta(), "spec": {"renewTime": time}}
        with pytest.raises(BadRequest):
            await api.client().create(r.LEASES, lease)
