"""A Revision stays on the images that it began with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.apis.digests import pin_images, registry_of
from tidegate.apis.settings import ADMISSION, Settings
from tidegate.kube.objects import Key, Object

DIGEST = f"web@sha256:{'a' * 64}"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    yield
    ADMISSION.current = Settings()


def pod(image: str = "web", *, revision: str | None = "hello-00001") -> Object:
    labels = {"serving.knative.dev/revision": revision} if revision else {}
    return {
        "metadata": {"name": "p", "namespace": "default", "labels": labels},
        "spec": {
            "containers": [{"name": "user-container", "image": image}],
            "initContainers": [{"name": "first", "image": image}],
        },
    }


def revision(image: str = "web") -> Object:
    return {
        "spec": {
            "containers": [{"name": "user-container", "image": image}],
            "initContainers": [{"name": "first", "image": image}],
        },
        "status": {
            "containerStatuses": [{"name": "user-container", "imageDigest": DIGEST}],
            "initContainerStatuses": [{"name": "first"}],
        },
    }


def images(pinned: Object, found: Object | None) -> list[str]:
    asked: list[Key] = []

    def find(key: Key) -> Object | None:
        asked.append(key)
        return found

    pin_images(pinned, find)
    assert asked in ([], [Key("default", "hello-00001")])
    spec = pinned["spec"]
    return [c["image"] for kind in ("containers", "initContainers") for c in spec[kind]]


def test_what_is_known_is_pinned_and_what_is_not_stays() -> None:
    assert images(pod(), revision()) == [DIGEST, "web"]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (pod(revision=None), revision()),
        (pod(), None),
        (pod("changed:by-hand"), revision()),
        (pod("dev.local/web"), revision("dev.local/web")),
    ],
)
def test_everything_else_is_left_alone(made: Object, found: Object | None) -> None:
    before = made["spec"]["containers"][0]["image"]
    assert images(made, found) == [before, before]


def test_the_operator_exempts_registries() -> None:
    data = {"registries-skipping-tag-resolving": "index.docker.io, example.com"}
    ADMISSION.current = Settings().with_config_map("config-deployment", data)
    assert images(pod(), revision()) == ["web", "web"]
    named = "example.com/web:v1"
    assert images(pod(named), revision(named)) == [named, named]


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("web", "index.docker.io"),
        ("team/web:v1", "index.docker.io"),
        ("example.com/web", "example.com"),
        ("localhost/web", "localhost"),
        ("registry:5000/web", "registry:5000"),
    ],
)
def test_registries(image: str, registry: str) -> None:
    assert registry_of(image) == registry
