"""Images: references, digests, manifests, and the environments that are built for them."""

from __future__ import annotations

# The tests make and look at small files.
import asyncio
import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.images import make_image
from tidegate.node.images import manifest, registry, tree
from tidegate.node.images.environments import Environments, environment_key
from tidegate.node.images.errors import BrokenImageError, UnknownImageError
from tidegate.node.images.store import ImageStore

SEED = (
    "yunqi-registry.cn-shanghai.cr.aliyuncs.com/lab/stable-diffusion"
    "@sha256:64999ff1aba706f65a2234d861d46318f7d58e2790b31ace0d567a96e65b617c"
)


def digest(directory: Path) -> str:
    return tree.content_digest(directory, tree.entries(directory))


def store(path: Path) -> ImageStore:
    return ImageStore(path / "data", [path / "source"], environments=Environments(path / "data"))


def test_the_digest_follows_content_names_and_modes_only(tmp_path: Path) -> None:
    one, two = make_image(tmp_path / "1"), make_image(tmp_path / "2")
    assert digest(one) == digest(two)
    os.utime(two / "main.py", (0, 0))
    (two / "main.py").chmod(0o600)
    assert digest(one) == digest(two)
    (two / "main.py").chmod(0o755)
    assert digest(one) != digest(two)
    (two / "main.py").chmod(0o644)
    (two / "main.py").rename(two / "other.py")
    assert digest(one) != digest(two)


def test_what_the_image_ignores_is_no_part_of_it(tmp_path: Path) -> None:
    image = make_image(tmp_path)
    before = [entry.path for entry in tree.entries(image)]
    (image / ".imageignore").write_text("# not shipped\ntests/\n*.log\nweights/raw\n")
    for path in ("tests/a.py", "deep/tests/b", "x.log", "weights/raw/w", "__pycache__/m.pyc"):
        (image / path).parent.mkdir(parents=True, exist_ok=True)
        (image / path).write_text("x")
    (image / "weights" / "model").write_text("kept")
    assert [entry.path for entry in tree.entries(image)] == sorted([*before, "weights/model"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "image.toml"),
        ("", "name: Field required"),
        ('name = "A b"', "name: String should match"),
        ('name = "a"\nnonsense = 1', "nonsense: Extra inputs"),
        ('name = "a"\npreload = ["os; rm"]', "preload.0"),
        ('name = "a"\nrequirements = "../x"', "requirements: Value error, must be a path inside"),
        ('name = "a"\n[[ports]]\ncontainer = 0', "ports.0.container"),
        ('name = "a"\n[[ports]]\ncontainer = 1\nenv = "A=B"', "ports.0.env"),
    ],
)
def test_a_manifest_that_is_not_valid_is_named_with_its_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "image.toml").write_text(text)
    with pytest.raises(BrokenImageError) as error:
        manifest.load(tmp_path)
    assert str(tmp_path / "image.toml") in str(error.value)
    assert problem in str(error.value)


def test_references(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "source"
    image = make_image(source, "sd", extra=f'aliases = ["{SEED}", "acs/portal:v1"]')
    known = [
        "sd",
        "sd:latest",
        "docker.io/library/sd",
        SEED,
        "acs/portal:v1",
        f"sd@sha256:{digest(image)}",
    ]
    for reference in known:
        assert registry.resolve(data, [source], reference).directory == image
    for reference in ("sd:v1", SEED[:-1] + "0", "acs/portal", "acs/portal:v2", "s", ""):
        with pytest.raises(UnknownImageError) as error:
            registry.resolve(data, [source], reference)
        assert f"tidegate image add DIRECTORY --alias {reference}" in str(error.value)


@given(st.text("abc/:@.", min_size=1, max_size=20))
def test_normal_references_stay_as_they_are(reference: str) -> None:
    once = registry.normalize(reference)
    assert once.startswith(("docker.io/", "library/")) or registry.normalize(once) == once


def test_images_added_by_hand(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "source"
    one, two = make_image(tmp_path / "x", "one"), make_image(tmp_path / "x", "two")
    shipped = make_image(source, "shipped")
    registry.add(data, one, ["lab/model:1"])
    registry.add(data, one, ["lab/model:2"])
    registry.add(data, two, ["lab/model:1"])
    assert registry.resolve(data, [source], "lab/model:1").directory == two
    assert registry.resolve(data, [source], "lab/model:2").directory == one
    names = [item.manifest.name for item in registry.list_images(data, [source])]
    assert sorted(names) == ["one", "shipped", "two"]
    (shipped / "image.toml").write_text("broken")
    assert len(registry.list_images(data, [source])) == 2
    with pytest.raises(BrokenImageError, match="is no image"):
        registry.add(data, tmp_path)
    with pytest.raises(BrokenImageError, match="alias"):
        registry.add(data, one, ["two words"])
    (data / "images" / "index.json").write_text("{")
    with pytest.raises(BrokenImageError, match=r"index\.json is damaged"):
        registry.resolve(data, [source], "one")


async def test_an_image_is_unpacked_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    source = make_image(tmp_path / "source")
    images = store(tmp_path)
    first, again = await asyncio.gather(images.pull("web"), images.pull("web"))
    assert first == again
    assert first.digest == digest(source)
    assert (first.rootfs / "main.py").read_bytes() == (source / "main.py").read_bytes()
    (source / "main.py").write_text("print('new')")
    changed = await images.pull("web")
    assert changed.digest != first.digest
    assert (first.rootfs / "main.py").exists()
    assert changed.environment == first.environment
    assert (await store(tmp_path).pull("web")) == changed


async def test_an_environment_is_built_once_from_the_requirements(tmp_path: Path) -> None:
    image = make_image(tmp_path / "source", extra='requirements = "requirements.txt"')
    wheel(image, "tide-demo", "print('hello from the wheel')")
    (image / "requirements.txt").write_text("./tide_demo-1.0-py3-none-any.whl\n")
    pulled, other = await asyncio.gather(store(tmp_path).pull("web"), store(tmp_path).pull("web"))
    assert pulled.environment == other.environment
    environments = tmp_path / "data" / "environments"
    assert [p.name for p in environments.iterdir() if not p.name.startswith(".")] == [
        environment_key("./tide_demo-1.0-py3-none-any.whl\n")
    ]
    assert not list(environments.glob(".building-*"))
    process = await asyncio.create_subprocess_exec(
        pulled.python, "-c", "import tide_demo", stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0] == b"hello from the wheel\n"


async def test_an_environment_that_cannot_be_built_says_why(tmp_path: Path) -> None:
    image = make_image(tmp_path / "source", extra='requirements = "requirements.txt"')
    (image / "requirements.txt").write_text("./missing-1.0-py3-none-any.whl\n")
    with pytest.raises(BrokenImageError, match=r"(?s)uv pip failed.*missing"):
        await store(tmp_path).pull("web")
    assert not list((tmp_path / "data" / "environments").glob(".building-*"))
    (image / "requirements.txt").unlink()
    with pytest.raises(BrokenImageError, match="requirements cannot be read"):
        await store(tmp_path).pull("web")


async def test_an_environment_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(BrokenImageError, match="was not ready in 0 s"):
        await Environments(tmp_path, timeout=0.001).ensure(None)
    assert not list((tmp_path / "environments").glob(".building-*"))


def test_the_index_is_json_that_people_can_read(tmp_path: Path) -> None:
    image = make_image(tmp_path / "x")
    registry.add(tmp_path, image, ["a:1"])
    index = json.loads((tmp_path / "images" / "index.json").read_text())
    assert index == {"images": [{"directory": str(image), "aliases": ["a:1"]}]}


def wheel(directory: Path, name: str, code: str) -> None:
    """A wheel of one module, by hand."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(directory / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", f"{module}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")


async def test_a_digest_means_the_same_files_after_the_image_has_changed(tmp_path: Path) -> None:
    image = make_image(tmp_path / "source")
    images = store(tmp_path)
    first = await images.pull("web")
    (image / "main.py").write_text("print('another')\n")
    second = await images.pull("web")
    assert first.digest != second.digest
    again = await images.pull(first.image_id)
    assert (again.digest, again.rootfs) == (first.digest, first.rootfs)
    assert await images.is_present(first.image_id)
    # Of another image it is not.
    with pytest.raises(UnknownImageError):
        await images.find(f"other@sha256:{first.digest}")
