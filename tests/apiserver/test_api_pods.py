"""What the API fills into a new pod: defaults, tolerations, and its account's token."""

from __future__ import annotations

import re

import pytest

from tests.apiserver.minimal import container, pod
from tests.support.api import running_api
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.podvalidation import validate_pod
from tidegate.kube import resources as r
from tidegate.kube.errors import Forbidden, Invalid
from tidegate.kube.objects import thaw

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


async def test_what_is_projected_gets_its_defaults(tmp_path):
    field = {"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}
    token = {"serviceAccountToken": {"path": "t"}}
    volumes = [
        {"name": "one", "downwardAPI": {"items": [field]}},
        {"name": "two", "projected": {"sources": [{"downwardAPI": {"items": [field]}}, token]}},
    ]
    async with running_api(tmp_path) as api:
        made = await api.client().create(r.PODS, pod(volumes=volumes))
        one, two = (
            volume for volume in made["spec"]["volumes"] if volume["name"] in ("one", "two")
        )
        assert one["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"
        fields, tokens = two["projected"]["sources"]
        assert fields["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"
        assert tokens["serviceAccountToken"]["expirationSeconds"] == 3600


async def test_pods_get_their_defaults_and_keep_their_spec(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        created = await client.create(r.PODS, pod())
        spec = created["spec"]
        assert (spec["restartPolicy"], spec["serviceAccountName"]) == ("Always", "default")
        assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"
        assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
        bound = await client.patch(r.PODS, "x", {"spec": {"nodeName": "n"}}, namespace="default")
        assert bound["spec"]["nodeName"] == "n"
        with pytest.raises(Invalid, match="pod updates may not change fields other than"):
            await client.patch(r.PODS, "x", {"spec": {"nodeName": "m"}}, namespace="default")
        changed = thaw(bound)
        changed["spec"]["containers"][0]["image"] = "web:2"
        assert (await client.update(r.PODS, changed))["spec"]["containers"][0]["image"] == "web:2"


def toleration(name, **more) -> dict:
    return {
        "key": f"node.kubernetes.io/{name}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
        **more,
    }


@pytest.mark.parametrize(
    ("asked", "added"),
    [
        ([], ["not-ready", "unreachable"]),
        ([toleration("unreachable", tolerationSeconds=5)], ["not-ready"]),
        ([{"key": "gpu", "operator": "Exists"}], ["not-ready", "unreachable"]),
        ([{"operator": "Exists"}], []),
    ],
)
async def test_pods_tolerate_a_lost_node_for_a_while(tmp_path, asked, added):
    async with running_api(tmp_path) as api:
        made = await api.client().create(r.PODS, pod(tolerations=asked))
        wanted = [*asked, *(toleration(name) for name in added)]
        assert made["spec"].get("tolerations", []) == wanted
        patch = {"spec": {"tolerations": asked}}
        patched = await api.client().patch(r.PODS, "x", patch, namespace="default")
        assert patched["spec"] == made["spec"]


async def test_a_pod_stored_without_a_priority_can_be_changed(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        made = thaw(await client.create(r.PODS, pod()))
        stored = thaw(made)
        del stored["spec"]["tolerations"]
        for old in (made, stored):
            for name in ("priority", "preemptionPolicy"):
                del old["spec"][name]
        errors = FieldErrors()
        validate_pod(made, stored, errors)
        errors.raise_for(r.PODS, made)


async def test_a_pod_needs_the_account_it_names(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        words = (
            'pods "x" is forbidden: error looking up service account default/robot:'
            ' serviceaccount "robot" not found'
        )
        with pytest.raises(Forbidden) as refused:
            await client.create(r.PODS, pod(serviceAccountName="robot"))
        assert refused.value.message == words
        account = {"metadata": {"name": "robot", "namespace": "default"}}
        await client.create(r.SERVICE_ACCOUNTS, account)
        made = await client.create(r.PODS, pod(serviceAccountName="robot"))
        assert made["spec"]["serviceAccountName"] == "robot"
        # What runs goes on without it.
        await client.delete(r.SERVICE_ACCOUNTS, "robot", namespace="default")
        labels = {"metadata": {"labels": {"a": "b"}}}
        await client.patch(r.PODS, "x", labels, namespace="default")


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        (
            {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}},
            'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of'
            " 1500m",
        ),
        (
            {"limits": {"memory": "-1"}},
            'resources.limits.memory: Invalid value: "-1": must be greater than or equal to 0',
        ),
    ],
)
async def test_amounts_of_resources(tmp_path, resources, problem):
    async with running_api(tmp_path) as api:
        with pytest.raises(Invalid) as refused:
            await api.client().create(r.PODS, pod(containers=container(resources=resources)))
        assert problem in refused.value.message


async def test_the_token_of_its_account_is_a_volume_of_a_new_pod(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        own = {"name": "own", "mountPath": TOKEN_PATH}
        made = await client.create(
            r.PODS,
            pod(
                initContainers=[{"name": "first", "image": "i"}],
                containers=[
                    {"name": "a", "image": "i"},
                    {"name": "b", "image": "i", "volumeMounts": [own]},
                ],
                volumes=[{"name": "own", "emptyDir": {}}],
            ),
        )
        spec = made["spec"]
        kept, added = spec["volumes"]
        assert kept == {"name": "own", "emptyDir": {}}
        assert re.fullmatch("kube-api-access-[a-z0-9]{5}", added["name"])
        assert added["projected"] == {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {
                                    "apiVersion": "v1",
                                    "fieldPath": "metadata.namespace",
                                },
                            }
                        ]
                    }
                },
            ],
        }
        mount = {"name": added["name"], "readOnly": True, "mountPath": TOKEN_PATH}
        assert spec["initContainers"][0]["volumeMounts"] == [mount]
        assert [item["volumeMounts"] for item in spec["containers"]] == [[mount], [own]]


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [(None, None, True), (False, None, False), (False, True, True), (None, False, False)],
)
async def test_whether_the_token_is_mounted(tmp_path, of_account, of_pod, mounted):
    async with running_api(tmp_path) as api:
        client = api.client()
        account = {
            "metadata": {"name": "robot", "namespace": "default"},
            "imagePullSecrets": [{"name": "registry"}],
        }
        asked = {"serviceAccountName": "robot"}
        for obj, value in ((account, of_account), (asked, of_pod)):
            if value is not None:
                obj["automountServiceAccountToken"] = value
        await client.create(r.SERVICE_ACCOUNTS, account)
        spec = (await client.create(r.PODS, pod(**asked)))["spec"]
        assert bool(spec.get("volumes")) == bool(spec["containers"][0].get("volumeMounts"))
        assert bool(spec.get("volumes")) == mounted
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
