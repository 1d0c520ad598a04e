"""Backups that are damaged, foreign or cut short are refused before anything is touched."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from tests.support.api import running_api
from tidegate.apiserver.storage import snapshot
from tidegate.apiserver.storage.database import DatabaseError
from tidegate.apiserver.storage.store import Store
from tidegate.cli import archive
from tidegate.cli.main import app
from tidegate.cli.process.preflight import check_restored
from tidegate.cli.records.settings import Settings, save
from tidegate.kube.errors import Gone, UserError
from tidegate.kube.objects import Key
from tidegate.kube.resources import CONFIG_MAPS


def _ignore(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A platform that is down: a store with two objects, a key and an added image."""
    directory = tmp_path / "data"
    directory.mkdir()
    async with Store(directory / "state.db") as store:
        await store.put("/configmaps", Key("a", "x"), _thing("x"))
        await store.put("/configmaps", Key("a", "y"), _thing("y"))
    for name in ("pki/ca.key", "images/index.json"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(f"content of {name}")
    save(Settings(directory, api_port=7443))
    return directory


def _thing(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "a", "name": name}}


def _run(*arguments: str | Path):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def backup(data_dir: Path, tmp_path: Path) -> Path:
    done = _run("backup", tmp_path / "b", "--data-dir", data_dir)
    assert done.exit_code == 0, done.output
    return tmp_path / "b"


async def test_a_fresh_directory_gets_everything(backup: Path, tmp_path: Path) -> None:
    target = tmp_path / "fresh"
    done = _run("restore", backup, "--data-dir", target, "-o", "json")
    assert done.exit_code == 0, done.output
    said = orjson.loads(done.stdout)
    assert said["objects"] == 2
    assert said["start"] == f"tidegate up -d --data-dir {target} --api-port 7443"
    assert (target / "pki" / "ca.key").read_text() == "content of pki/ca.key"
    assert (target / "images" / "index.json").read_text() == "content of images/index.json"
    private = [path for path in target.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in private if path.name != "lock")
    async with Store(target / "state.db") as store:
        assert {stored.sort_key[1] for stored in store.items("/configmaps")} == {"x", "y"}


def test_a_restore_says_how_the_platform_was_started(data_dir: Path, tmp_path: Path) -> None:
    certificate, key = Path("/etc/tls.crt"), Path("/etc/tls.key")
    save(Settings(data_dir, tls_certificate=certificate, tls_key=key, max_revisions=5000))
    assert _run("backup", tmp_path / "b", "--data-dir", data_dir).exit_code == 0
    target = tmp_path / "fresh"
    done = _run("restore", tmp_path / "b", "--data-dir", target, "-o", "json")
    assert orjson.loads(done.stdout)["start"] == (
        f"tidegate up -d --data-dir {target} --tls-cert {certificate} --tls-key {key}"
        " --max-revisions 5000"
    )


async def test_versions_go_on_above_all_that_were_ever_given(backup: Path, data_dir: Path) -> None:
    async with Store(data_dir / "state.db") as store:
        for _ in range(5):
            last = await store.put("/configmaps", Key("a", "x"), _thing("x"))
    done = _run("restore", backup, "--data-dir", data_dir, "--force")
    assert done.exit_code == 0, done.output
    async with Store(data_dir / "state.db") as store:
        with pytest.raises(Gone):
            store.cursor("/configmaps", last.version)
        assert (await store.put("/configmaps", Key("a", "z"), _thing("z"))).version > last.version


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"nothing of the kind" * 100):
        (tmp_path / "file").write_bytes(content)
        done = _run("restore", tmp_path / "file", "--data-dir", tmp_path / "new")
        assert done.exit_code == 1
        assert "no backup" in done.output
        assert not (tmp_path / "new" / "state.db").exists()


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_torn_backup_is_refused(backup: Path, tmp_path: Path, part: float) -> None:
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * part)])
    done = _run("restore", backup, "--data-dir", tmp_path / "new")
    assert done.exit_code == 1
    assert "backup" in done.output
    assert not (tmp_path / "new" / "state.db").exists()


def _rewritten(backup: Path, change) -> None:
    """Pack the backup again, each member as `change` (name, content) makes it."""
    with tarfile.open(backup) as tar:
        members = [(m.name, tar.extractfile(m).read()) for m in tar]
    with tarfile.open(backup, "w:gz") as tar:
        for name, content in members:
            changed_name, changed = change(name, content)
            entry = tarfile.TarInfo(changed_name)
            entry.size = len(changed)
            tar.addfile(entry, io.BytesIO(changed))


def test_a_changed_file_is_noticed(backup: Path, tmp_path: Path) -> None:
    _rewritten(backup, lambda n, c: (n, c.replace(b"content", b"Content") if "key" in n else c))
    done = _run("restore", backup, "--data-dir", tmp_path / "new")
    assert done.exit_code == 1
    assert "pki/ca.key is not what was written" in " ".join(done.output.split())


def test_a_newer_format_names_the_version_that_wrote_it(backup: Path, tmp_path: Path) -> None:
    def newer(name: str, content: bytes) -> tuple[str, bytes]:
        if name != "backup.json":
            return name, content
        return name, orjson.dumps({**orjson.loads(content), "format": 9, "tidegate": "9.9"})

    _rewritten(backup, newer)
    done = _run("restore", backup, "--data-dir", tmp_path / "new")
    assert done.exit_code == 1
    assert "9.9" in done.output


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "pki/../../outside"])
def test_no_file_leaves_the_directory(backup: Path, tmp_path: Path, name: str) -> None:
    def evil(found: str, content: bytes) -> tuple[str, bytes]:
        if found == "pki/ca.key":
            return name, content
        if found == "backup.json":
            value = orjson.loads(content)
            value["files"][name] = value["files"].pop("pki/ca.key")
            return found, orjson.dumps(value)
        return found, content

    _rewritten(backup, evil)
    with pytest.raises(archive.ArchiveError, match="does not belong here"):
        archive.extract(backup, tmp_path / "data" / "inner")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "data" / "outside").exists()


def test_no_platform_starts_on_a_restore_that_was_cut_short(data_dir: Path, backup: Path) -> None:
    settings = Settings(data_dir)
    settings.restoring_file.touch()
    with pytest.raises(UserError, match="restore --force"):
        check_restored(settings)
    assert _run("restore", backup, "--data-dir", data_dir, "--force").exit_code == 0
    check_restored(settings)


async def test_a_copy_is_of_one_instant(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        client = api.client()
        stop = asyncio.Event()

        async def write() -> None:
            count = 0
            while not stop.is_set():
                count += 1
                meta = {"name": f"c-{count:06d}", "namespace": "default"}
                await client.create(CONFIG_MAPS, {"metadata": meta, "data": {"x": "y" * 2000}})

        writing = asyncio.create_task(write())
        try:
            for number in range(5):
                target = tmp_path / f"copy-{number}.db"
                await asyncio.to_thread(snapshot.copy, tmp_path / "store.db", target, _ignore)
                async with Store(target) as copy:
                    names = sorted(s.sort_key[1] for s in copy.items("/configmaps"))
                    # One after the other they were written; a copy may end, but has no gap.
                    assert names == [f"c-{n + 1:06d}" for n in range(len(names))]
                    assert max(s.version for s in copy.items("/namespaces")) <= copy.version
        finally:
            stop.set()
            await writing


def test_a_damaged_copy_is_noticed(data_dir: Path) -> None:
    path = data_dir / "state.db"
    snapshot.copy(path, data_dir / "copy.db", _ignore)
    assert snapshot.check(data_dir / "copy.db") == snapshot.Contents(2, 2)
    content = bytearray((data_dir / "copy.db").read_bytes())
    content[4096:4600] = b"\xff" * 504
    (data_dir / "copy.db").write_bytes(content)
    with pytest.raises(DatabaseError):
        snapshot.check(data_dir / "copy.db")
