"""What every test runs in: a place for temporary files that goes with it.

HAProxy's sockets need short paths, which pytest's own directories do not have: the gateways of
tests keep their files here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Pytest's own is kept, for who looks why a test failed.
    tmp_path_factory.getbasetemp()
    with (
        tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True) as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", directory)
        patch.setattr(tempfile, "tempdir", directory)
        yield
