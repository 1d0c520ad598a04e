"""Settings of the cluster that one test makes are not the next one's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.apis.settings import ADMISSION, Settings


@pytest.fixture(autouse=True)
def _default_settings() -> Iterator[None]:
    yield
    ADMISSION.current = Settings()
