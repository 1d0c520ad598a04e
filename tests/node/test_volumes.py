"""What is in the volumes of pods, and where their mounts lead."""

from __future__ import annotations

# The tests look at small files.
# ruff: noqa: PTH115, PTH208
import base64
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.node.running import Tokens, pod
from tests.support.api import RunningApi, running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.kube.errors import Forbidden
from tidegate.kube.objects import Object
from tidegate.kube.resources import CONFIG_MAPS, SECRETS
from tidegate.node.lifecycle import mounting
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.lifecycle.payload import File, write_payload
from tidegate.node.lifecycle.sources import ConfigError, Sources
from tidegate.node.lifecycle.volumes import Volumes


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
        clock=VirtualClock(),
        tokens=tokens or Tokens(),
        ca_file=path / "ca.crt",
        node_name="tidegate",
    )
    return Volumes(host, PodDirectory(path, "u1"))


def with_volume(**source: Any) -> Object:
    made = pod("a", volumes=[{"name": "v", **source}])
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
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    assert read(directory) == files
    assert all(stat.S_IMODE((directory / name).stat().st_mode) == 0o644 for name in files)


def read(directory: Path) -> dict[str, bytes]:
    """The files of a volume as a program finds them, through their links."""
    found: dict[str, bytes] = {}
    for name in sorted(os.listdir(directory)):
        if not name.startswith(".."):
            place = directory / name
            inner = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
            found |= {str(path.relative_to(directory)): path.read_bytes() for path in inner}
    return found


async def test_a_changed_source_changes_all_files_at_once(api: RunningApi, tmp_path: Path) -> None:
    made = volumes(api, tmp_path)
    pod = with_volume(configMap={"name": "one"})
    await made.make(pod)
    directory = made.directory.volume("v")
    before = os.readlink(directory / "..data")
    await made.make(pod)
    assert os.readlink(directory / "..data") == before

    data = {"data": {"a.conf": "changed", "b.conf": None, "c.conf": "gamma"}}
    await api.client().patch(CONFIG_MAPS, "one", data, namespace="default")
    held = os.open(directory / "..data", os.O_RDONLY)
    await made.make(pod)
    assert read(directory) == {"a.conf": b"changed", "c.conf": b"gamma"}
    assert os.listdir(held) == []
    os.close(held)
    assert len([name for name in os.listdir(directory) if name.startswith("..")]) == 2


async def test_a_container_may_change_the_permissions_of_its_empty_directory(
    api: RunningApi, tmp_path: Path
) -> None:
    made, obj = volumes(api, tmp_path), with_volume(emptyDir={})
    await made.make(obj)
    directory = made.directory.volume("v")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o777
    directory.chmod(0o700)
    await made.make(obj)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_files_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_payload(tmp_path, {"a": File(b"file"), "a/b": File(b"in it")})
    assert list(tmp_path.iterdir()) == []


async def test_modes_and_groups(api: RunningApi, tmp_path: Path) -> None:
    made = volumes(api, tmp_path)
    items = [{"key": "a.conf", "path": "a", "mode": 0o400}, {"key": "b.conf", "path": "b"}]
    pod = with_volume(configMap={"name": "one", "defaultMode": 0o640, "items": items})
    await made.make(pod)
    directory = made.directory.volume("v")
    assert [stat.S_IMODE((directory / name).stat().st_mode) for name in "ab"] == [0o400, 0o640]
    pod["spec"]["securityContext"] = {"fsGroup": os.getegid()}
    await made.make(pod)
    assert [stat.S_IMODE((directory / name).stat().st_mode) for name in "ab"] == [0o440, 0o640]


async def test_a_token_is_kept_until_most_of_its_time_is_over(
    api: RunningApi, tmp_path: Path
) -> None:
    class Counting(Tokens):
        asked = 0

        async def token(self, **_: Any) -> str:
            self.asked += 1
            return str(self.asked)

    made = volumes(api, tmp_path, Counting())
    clock: Any = made.host.clock
    pod = with_volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]})
    for passed, token in ((0, "1"), (2800, "1"), (100, "2")):
        await clock.advance(passed)
        await made.make(pod)
        assert (made.directory.volume("v") / "token").read_text() == token


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            {"configMap": {"name": "one", "items": [{"key": "no", "path": "x"}]}},
            "configmap references non-existent config key: no",
        ),
        (
            {"secret": {"secretName": "one", "items": [{"key": "no", "path": "x"}]}},
            r'^MountVolume.SetUp failed for volume "v" : references non-existent secret key: no$',
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


async def test_mounts_lead_to_what_is_in_the_volume(api: RunningApi, tmp_path: Path) -> None:
    made = volumes(api, tmp_path)
    pod = with_volume(configMap={"name": "one"})
    await made.make(pod)
    mounts = [
        {"name": "v", "mountPath": "/etc/conf/"},
        {"name": "v", "mountPath": "/etc/alpha.conf", "subPathExpr": "$(WHICH).conf"},
    ]
    container = {"name": "main", "volumeMounts": mounts}
    found = mounting.volume_mounts(pod, container, made.directory, {"WHICH": "a"})
    assert [(m.target, m.sub_path, m.read_only) for m in found] == [
        ("/etc/conf", "", True),
        ("/etc/alpha.conf", "a.conf", True),
    ]
    for _ in range(2):
        root = made.directory.root("main")
        mounting.link(root, found)
    assert (root / "etc/conf/b.conf").read_text() == "beta"
    assert (root / "etc/alpha.conf").read_text() == "alpha"


@pytest.mark.parametrize(
    "mount",
    [
        {"mountPath": "/a/../../b"},
        {"mountPath": "/"},
        {"mountPath": "/x", "subPath": "../y"},
        {"mountPath": "/x", "subPath": "link/inner"},
        {"mountPath": "/x", "subPath": "/etc"},
    ],
)
async def test_a_mount_never_leaves_its_volume(
    api: RunningApi, tmp_path: Path, mount: Object
) -> None:
    made = volumes(api, tmp_path)
    pod = with_volume(emptyDir={})
    await made.make(pod)
    (made.directory.volume("v") / "link").symlink_to(tmp_path)
    container = {"name": "main", "volumeMounts": [{"name": "v", **mount}]}
    with pytest.raises(ConfigError, match=r"usable mount path|leaves the volume"):
        mounting.volume_mounts(pod, container, made.directory, {})


async def test_a_sub_path_is_made_in_an_empty_directory_alone(
    api: RunningApi, tmp_path: Path
) -> None:
    made = volumes(api, tmp_path)
    container = {
        "name": "main",
        "volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "deep/er"}],
    }
    empty = with_volume(emptyDir={})
    await made.make(empty)
    mounting.volume_mounts(empty, container, made.directory, {})
    assert (made.directory.volume("v") / "deep/er").is_dir()
    config = with_volume(configMap={"name": "one"})
    with pytest.raises(ConfigError, match="'deep/er' is not in volume v"):
        mounting.volume_mounts(config, container, PodDirectory(tmp_path, "u2"), {})


async def test_a_refused_token_is_a_problem_of_the_configuration(
    api: RunningApi, tmp_path: Path
) -> None:
    class Refusing:
        async def token(self, **_: Any) -> str:
            raise Forbidden("no such account")

    pod = with_volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]})
    with pytest.raises(ConfigError, match="failed to fetch token: no such account"):
        await volumes(api, tmp_path, Refusing()).make(pod)


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
