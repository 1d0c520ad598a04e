"""Images made ready to run: unpacked by digest, with their environment.

A source directory is looked at again for each pod, cheaply, by its files' sizes and times; only a
changed one is hashed and copied anew. Pods that run keep the copy they were started from.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.node.images import garbage, registry, tree
from tidegate.node.images.environments import Environments
from tidegate.node.images.errors import BrokenImageError
from tidegate.node.images.garbage import Marks
from tidegate.node.images.manifest import Manifest
from tidegate.node.images.registry import Source
from tidegate.node.locks import file_lock


@dataclass(frozen=True)
class Image:
    """An image that can be run.

    Attributes:
        name: the manifest's name.
        digest: 64 hexadecimal digits.
        rootfs: the unpacked copy, the working directory of its programs.
        environment: its Python environment's directory.
        manifest: what it says about itself.
    """

    name: str
    digest: str
    rootfs: Path
    environment: Path
    manifest: Manifest

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def image_id(self) -> str:
        """What stands in a container status as `imageID`."""
        return f"{self.name}@sha256:{self.digest}"


class ImageStore:
    """Finds, unpacks and remembers images.

    Args:
        data_dir: the platform's data directory.
        search: directories that hold image directories.
        environments: builds their environments.
    """

    def __init__(
        self, data_dir: Path, search: Sequence[Path], *, environments: Environments
    ) -> None:
        self._data_dir = data_dir
        self._search = tuple(search)
        self._environments = environments
        self._digests: dict[Path, tuple[str, str]] = {}
        self._unpacking: dict[Path, asyncio.Lock] = {}

    async def find(self, reference: str) -> Source:
        """The known image of that reference. Raises UnknownImageError, BrokenImageError."""
        return await asyncio.to_thread(registry.resolve, self._data_dir, self._search, reference)

    async def is_present(self, reference: str) -> bool:
        """Whether the image is unpacked, so that nothing need be fetched. Raises ImageError."""
        source = await self.find(reference)
        return await asyncio.to_thread(self._is_unpacked, source)

    async def collect_garbage(self, marks: Marks) -> list[Path]:
        """Free space if the disk is too full; what was removed."""
        return await asyncio.to_thread(garbage.collect, self._data_dir, self._search, marks)

    async def pull(self, reference: str) -> Image:
        """The image, unpacked and with its environment. Raises ImageError."""
        source = await self.find(reference)
        # Pods of one image wait here, where they take no thread from others.
        async with self._unpacking.setdefault(source.directory, asyncio.Lock()):
            digest, rootfs = await asyncio.to_thread(self._unpack, source)
        requirements = source.manifest.requirements
        environment = await self._environments.ensure(
            None if requirements is None else rootfs / requirements
        )
        return Image(source.manifest.name, digest, rootfs, environment, source.manifest)

    def _is_unpacked(self, source: Source) -> bool:
        if source.digest:
            return True
        digest = self._digest(source.directory, tree.entries(source.directory))
        return (self._data_dir / "images" / digest / "rootfs").is_dir()

    def _unpack(self, source: Source) -> tuple[str, Path]:
        try:
            if source.digest:
                garbage.touch(source.directory.parent)
                return source.digest, source.directory
            files = tree.entries(source.directory)
            digest = self._digest(source.directory, files)
            rootfs = self._data_dir / "images" / digest / "rootfs"
            if not rootfs.is_dir():
                self._copy(source.directory, files, rootfs)
            garbage.touch(rootfs.parent)
        except OSError as error:
            raise BrokenImageError(
                f"image {source.directory} cannot be unpacked: {error}"
            ) from error
        return digest, rootfs

    def _digest(self, directory: Path, files: Sequence[tree.Entry]) -> str:
        fingerprint = tree.fingerprint(files)
        known = self._digests.get(directory)
        if known is not None and known[0] == fingerprint:
            return known[1]
        digest = tree.content_digest(directory, files)
        self._digests[directory] = (fingerprint, digest)
        return digest

    def _copy(self, directory: Path, files: Sequence[tree.Entry], rootfs: Path) -> None:
        images = self._data_dir / "images"
        images.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(images / ".unpack.lock", timeout=600):
            if rootfs.is_dir():
                return
            temporary = Path(tempfile.mkdtemp(dir=images, prefix=".unpacking-"))
            try:
                tree.copy(directory, files, temporary / "rootfs")
                rootfs.parent.mkdir(mode=0o700, exist_ok=True)
                (temporary / "rootfs").rename(rootfs)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
