"""Which images go when the disk is full, and which never do."""

from __future__ import annotations

import json
import os
from collections import namedtuple
from pathlib import Path

import pytest

from tests.node.images import make_image
from tests.node.running import Stage, main_of, stage, waiting_of
from tidegate.kube.resources import PODS
from tidegate.node.images import garbage, registry
from tidegate.node.images.environments import Environments
from tidegate.node.images.errors import UnknownImageError
from tidegate.node.images.garbage import Marks
from tidegate.node.images.store import Image, ImageStore

Usage = namedtuple("Usage", "total used free")


class Disk:
    """Images of an earlier hour in a data directory."""

    def __init__(self, path: Path) -> None:
        self.source, self.data = path / "source", path / "data"
        self.store = ImageStore(self.data, [self.source], environments=Environments(self.data))
        self.age = 100_000.0

    async def pull(self, name: str, version: int = 0) -> Image:
        """Unpack a version of an image; each is older than the next."""
        directory = self.source / name
        if not directory.exists():
            make_image(self.source, name)
        (directory / "version").write_text(str(version))
        image = await self.store.pull(name)
        self.age -= 1000
        then = image.rootfs.stat().st_mtime - self.age
        os.utime(image.rootfs.parent, (then, then))
        os.utime(image.environment, (then, then))
        return image

    def run(self, image: Image) -> None:
        """As after a start of a container."""
        directory = self.data / "pods/u1/containers/main/0"
        directory.mkdir(parents=True)
        record = {"rootfs": str(image.rootfs), "environment": str(image.environment)}
        (directory / "record.json").write_text(json.dumps({"image": record}))

    def unneeded(self) -> list[Path]:
        return [item.path for item in garbage.unneeded(self.data, [self.source])]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def test_former_versions_go_the_oldest_first(disk: Disk) -> None:
    first, second, third = [await disk.pull("web", number) for number in range(3)]
    assert disk.unneeded() == [first.rootfs.parent, second.rootfs.parent]
    disk.run(first)
    assert disk.unneeded() == [second.rootfs.parent]
    assert third.rootfs.is_dir()


async def test_what_was_just_used_stays(disk: Disk) -> None:
    first, second, _ = [await disk.pull("web", number) for number in range(3)]
    garbage.touch(first.rootfs.parent)
    await disk.pull("web", 3)
    assert first.rootfs.parent not in disk.unneeded()
    assert second.rootfs.parent in disk.unneeded()


async def test_what_a_warm_template_has_open_stays(disk: Disk) -> None:
    first = await disk.pull("web", 0)
    await disk.pull("web", 1)
    (disk.data / "run").mkdir()
    (disk.data / "run" / f"{first.digest[:24]}-12345678.sock").touch()
    assert disk.unneeded() == []


async def test_an_image_nobody_knows_any_more_goes_with_its_environment(disk: Disk) -> None:
    image = await disk.pull("web")
    (disk.source / "web" / "image.toml").unlink()
    assert disk.unneeded() == [image.rootfs.parent, image.environment]
    disk.run(image)
    assert disk.unneeded() == []


async def test_only_as_much_goes_as_is_needed(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = [await disk.pull("web", number) for number in range(3)]
    images = [first, second, third]

    def usage(_: object) -> Usage:
        # Each image has a tenth of the disk, which is full with them.
        used = 60 + 10 * sum(image.rootfs.is_dir() for image in images)
        return Usage(100, used, 100 - used)

    monkeypatch.setattr("shutil.disk_usage", usage)
    assert await disk.store.collect_garbage(Marks(high=95, low=90)) == []
    assert await disk.store.collect_garbage(Marks(high=85, low=80)) == [first.rootfs.parent]
    assert await disk.store.collect_garbage(Marks(high=80, low=10)) == [second.rootfs.parent]
    # What is needed stays, however full the disk is.
    assert await disk.store.collect_garbage(Marks(high=50, low=10)) == []
    assert third.rootfs.is_dir()
    assert not list((disk.data / "images").glob(".removing-*"))
    assert (await disk.store.pull("web")).digest == third.digest


async def test_an_added_image_is_taken_back(disk: Disk, tmp_path: Path) -> None:
    directory = make_image(tmp_path / "elsewhere", "mine")
    registry.add(disk.data, directory, ["example.com/mine:v1"])
    assert registry.forget(disk.data, "example.com/mine:v1") == (directory, "mine")
    with pytest.raises(UnknownImageError):
        registry.resolve(disk.data, [disk.source], "mine")
    with pytest.raises(UnknownImageError):
        registry.forget(disk.data, "mine")


async def test_pull_policy_never_waits_until_somebody_else_has_pulled(tmp_path: Path) -> None:
    async with stage(tmp_path) as theatre:
        make_image(theatre.images)
        theatre.start()
        await theatre.create("never", container={"imagePullPolicy": "Never"})
        pod = await theatre.until("never", lambda p: waiting_of(p).get("message"))
        assert waiting_of(pod)["reason"] == "ErrImageNeverPull"
        assert "is not present with pull policy of Never" in waiting_of(pod)["message"]
        await _pulled(theatre)
        await theatre.create("second", container={"imagePullPolicy": "Never"})
        await theatre.ready("second")
        await theatre.event("Pulled", "already present on machine")


async def _pulled(theatre: Stage) -> None:
    await theatre.create("pulls", container={"imagePullPolicy": "Always"})
    pod = await theatre.ready("pulls")
    assert main_of(pod)["ready"] is True
    await theatre.client.delete(PODS, "pulls", namespace="default")
