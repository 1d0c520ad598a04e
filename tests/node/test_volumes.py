from __future__ import annotations

# The tests look at small files.
import base64
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.node.running import Tokens, pod
from tests.support.api import RunningApi, running_api
from tidegate.kube.errors import Forbidden
from tidegate.kube.objects import Object
from tidegate.kube.resources import CONFIG_MAPS, SECRETS
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.lifecycle.sources import ConfigError, Sources
from tidegate.node.lifecycle.volumes import SERVICE_ACCOUNT_PATH, Volumes


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(tmp_path) as api:
        for kind, resource, data in (
            ("ConfigMap", CONFIG_MAPS, {"a.conf": "alpha", "b.conf": "beta"}),
            ("Secret", SECRETS, {"key": base64.b64encode(b"\0sesame").decode()}),
        ):
            obj = {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": "one", "namespace": "default"},
                "data": data,
            }
            await api.client().create(resource, obj)
        yield api


def volumes(api: RunningApi, path: Path, tokens: Any = None) -> Volumes:
    (path / "ca.crt").write_text("authority")
    host: Any = SimpleNamespace(
        client=api.client(),
        tokens=tokens or Tokens(),
        ca_file=path / "ca.crt",
        node_name="tidegate",
    )
    return Volumes(host, PodDirectory(path, "u1"))


def with_volume(*, automount: bool = False, **source: Any) -> Object:
    made = pod("a", volumes=[{"name": "v", **source}], automountServiceAccountToken=automount)
    made["metadata"]["uid"] = "u1"
    return made


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ({"configMap": {"name": "one"}}, {"a.conf": b"alpha", "b.conf": b"beta"}),
        (
            {"configMap": {"name": "one", "items": [{"key": "a.conf", "path": "deep/x"}]}},
            {"deep/x": b"alpha"},
        ),
        ({"configMap": {"name": "none", "optional": True}}, {}),
        ({"secret": {"secretName": "one"}}, {"key": b"\0sesame"}),
        (
            {
                "downwardAPI": {
                    "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
                }
            },
            {"labels": b'app="web"'},
        ),
        (
            {
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
                        {"configMap": {"name": "one"}},
                        {"secret": {"name": "one"}},
                    ]
                }
            },
            {
                "token": b"token-of-default-default",
                "a.conf": b"alpha",
                "b.conf": b"beta",
                "key": b"\0sesame",
            },
        ),
        ({"emptyDir": {}}, {}),
    ],
)
async def test_sources(
    api: RunningApi, tmp_path: Path, source: Object, files: dict[str, bytes]
) -> None:
    made = volumes(api, tmp_path)
    await made.make(with_volume(**source))
    directory = made.directory.volume("v")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    found = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
    assert found == files
    assert all(stat.S_IMODE((directory / name).stat().st_mode) == 0o600 for name in files)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            {"configMap": {"name": "one", "items": [{"key": "no", "path": "x"}]}},
            "references non-existent key: no",
        ),
        (
            {"configMap": {"name": "one", "items": [{"key": "a.conf", "path": "../x"}]}},
            "leaves its volume",
        ),
        ({"persistentVolumeClaim": {"claimName": "x"}}, "persistentVolumeClaim is not supported"),
    ],
)
async def test_what_cannot_be_is_named(
    api: RunningApi, tmp_path: Path, source: Object, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        await volumes(api, tmp_path).make(with_volume(**source))


async def test_mounts_are_links_below_the_containers_root(api: RunningApi, tmp_path: Path) -> None:
    made = volumes(api, tmp_path)
    await made.make(with_volume(configMap={"name": "one"}))
    mounts = [
        {"name": "v", "mountPath": "/etc/conf"},
        {"name": "v", "mountPath": "/etc/alpha.conf", "subPath": "a.conf"},
    ]
    for _ in range(2):
        root = made.link({"name": "main", "volumeMounts": mounts})
    assert (root / "etc/conf/b.conf").read_text() == "beta"
    assert (root / "etc/alpha.conf").read_text() == "alpha"
    for bad in ({"mountPath": "/a/../../b"}, {"mountPath": "/x", "subPath": "../y"}):
        with pytest.raises(ConfigError):
            made.link({"name": "main", "volumeMounts": [{"name": "v", **bad}]})


async def test_where_the_token_is(api: RunningApi, tmp_path: Path) -> None:
    made = volumes(api, tmp_path)
    plain = {"name": "main"}
    mounted = {
        "name": "main",
        "volumeMounts": [{"name": "v", "mountPath": f"{SERVICE_ACCOUNT_PATH}/"}],
    }
    with_token = with_volume(automount=True, emptyDir={})
    assert made.service_account_dir(with_token, plain) == made.directory.service_account
    assert made.service_account_dir(with_token, mounted) == made.directory.volume("v")
    assert made.service_account_dir(with_volume(emptyDir={}), plain) is None


async def test_a_refused_token_is_a_problem_of_the_configuration(
    api: RunningApi, tmp_path: Path
) -> None:
    class Refusing:
        async def token(self, **_: Any) -> str:
            raise Forbidden("no such account")

    with pytest.raises(ConfigError, match="failed to fetch token: no such account"):
        await volumes(api, tmp_path, Refusing()).make(with_volume(automount=True, emptyDir={}))


async def test_binary_values(api: RunningApi) -> None:
    client = api.client()
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "binary", "namespace": "default"},
        "data": {"text": "t"},
        "binaryData": {"raw": base64.b64encode(b"\xff").decode()},
    }
    await client.create(CONFIG_MAPS, config)
    assert await Sources(client, "default").config_map("binary") == {"text": b"t", "raw": b"\xff"}
