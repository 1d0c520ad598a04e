"""Namespaces are deleted one by one, and those of Kubernetes itself never."""

from __future__ import annotations

import pytest

from tests.support.api import running_api
from tidegate.apiserver.requests import RequestContext, User
from tidegate.kube.errors import Forbidden, MethodNotAllowed
from tidegate.kube.resources import NAMESPACES


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_namespaces_that_stay(tmp_path, name: str) -> None:
    async with running_api(tmp_path) as api:
        with pytest.raises(Forbidden, match=f'"{name}" is forbidden: this namespace may not be'):
            await api.client().delete(NAMESPACES, name)


async def test_they_are_not_deleted_together(tmp_path) -> None:
    async with running_api(tmp_path) as api:
        spec = api.api.registry.of(NAMESPACES)
        with pytest.raises(MethodNotAllowed):
            await api.api.delete_collection(RequestContext(User("someone")), spec)
