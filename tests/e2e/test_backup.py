"""`tidegate backup` and `restore` on a real platform: under load, destroyed, back again."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

from tests.e2e.platform import Platform, knative_service, running_platform


class Writer(threading.Thread):
    """Creates numbered ConfigMaps by kubectl until told to stop."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self._platform = platform
        self._halt = threading.Event()
        self.acknowledged = 0

    def run(self) -> None:
        while not self._halt.is_set():
            maps = [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": f"written-{self.acknowledged + n:05d}"},
                }
                for n in range(20)
            ]
            manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": maps})
            self._platform.kubectl("create", "-f", "-", stdin=manifest)
            self.acknowledged += 20

    def stop(self) -> None:
        self._halt.set()
        self.join()


def test_a_destroyed_platform_comes_back_with_its_service_and_its_credentials(
    tmp_path: Path,
) -> None:
    file = tmp_path / "platform.backup"
    with running_platform(tmp_path / "platform") as platform:
        platform.apply(knative_service("kept"))
        platform.wait_ready("ksvc/kept")
        token = platform.kubectl("create", "token", "default").stdout.strip()
        credentials = tmp_path / "kubeconfig"
        shutil.copy(platform.data_dir / "kubeconfig", credentials)
        authority = tmp_path / "ca.crt"
        shutil.copy(platform.data_dir / "pki" / "ca.crt", authority)
        written, said = _back_up_under_load(platform, file)
        late = platform.kubectl("create", "configmap", "late", "-o", "json").stdout
        seen = int(json.loads(late)["metadata"]["resourceVersion"])
        platform.down()
        shutil.rmtree(platform.data_dir)

        done = platform.tidegate("restore", str(file))
        assert done.returncode == 0, done.stderr
        assert f"--api-port {platform.api_port}" in done.stderr
        platform.up()
        platform.wait_ready("ksvc/kept")
        assert platform.request("kept.default.localhost").status_code == 200
        names = _written(platform)
        assert len(names) >= written
        # What was written one after the other is there without a gap.
        assert names == [f"written-{n:05d}" for n in range(len(names))]
        assert said["objects"] > written
        assert "kept" in platform.kubectl("get", "ksvc", f"--kubeconfig={credentials}").stdout
        (tmp_path / "empty").touch()
        by_token = platform.kubectl(
            "auth",
            "whoami",
            f"--kubeconfig={tmp_path / 'empty'}",
            f"--server=https://127.0.0.1:{platform.api_port}",
            f"--certificate-authority={authority}",
            f"--token={token}",
        )
        assert "system:serviceaccount:default:default" in by_token.stdout
        _check_versions(platform, seen)


def _back_up_under_load(platform: Platform, file: Path) -> tuple[int, dict]:
    """Returns how many ConfigMaps were acknowledged before, and what the command said."""
    writer = Writer(platform)
    writer.start()
    try:
        while writer.acknowledged < 60:
            assert writer.is_alive()
        before = writer.acknowledged
        done = platform.tidegate("backup", str(file), "-o", "json")
        assert done.returncode == 0, done.stderr
    finally:
        writer.stop()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
    assert list(platform.data_dir.glob(".backup-*")) == []
    return before, json.loads(done.stdout)


def _written(platform: Platform) -> list[str]:
    names = platform.kubectl("get", "configmaps", "-o", "name").stdout.split()
    return [name for n in names if (name := n.removeprefix("configmap/")).startswith("written-")]


def _check_versions(platform: Platform, seen: int) -> None:
    """Who watches from a version that the lost platform gave is told to list again."""
    gone = platform.kubectl(
        "get",
        "--raw",
        f"/api/v1/configmaps?watch=1&resourceVersion={seen}&timeoutSeconds=1",
        check=False,
    )
    assert '"code":410' in gone.stdout + gone.stderr or "too old resource version" in gone.stderr
    again = platform.kubectl("create", "configmap", "late", "-o", "json").stdout
    assert int(json.loads(again)["metadata"]["resourceVersion"]) > seen


def test_restore_does_not_touch_what_is_there_unless_told(tmp_path: Path) -> None:
    file = tmp_path / "platform.backup"
    with running_platform(tmp_path / "platform") as platform:
        platform.kubectl("create", "configmap", "before")
        assert platform.tidegate("backup", str(file)).returncode == 0
        refused = platform.tidegate("backup", str(file))
        assert refused.returncode == 1
        assert "--force" in refused.stderr
        platform.kubectl("create", "configmap", "after")
        running = platform.tidegate("restore", "--force", str(file))
        assert running.returncode == 1
        assert "tidegate down" in running.stderr
        platform.down()
        refused = platform.tidegate("restore", str(file))
        assert refused.returncode == 1
        assert "--force" in refused.stderr
        assert platform.tidegate("restore", "--force", str(file)).returncode == 0
        platform.up()
        names = platform.kubectl("get", "configmaps", "-o", "name").stdout.split()
        assert "configmap/before" in names
        assert "configmap/after" not in names
