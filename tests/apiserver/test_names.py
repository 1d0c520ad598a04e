"""The names and uids that the server draws."""

from __future__ import annotations

import uuid

from tests.support.api import running_api
from tidegate.apiserver.registry.metadata import generate_name
from tidegate.kube.resources import CONFIG_MAPS

# More than are drawn at once.
MANY = 600


def test_generated_names_are_of_five_characters_that_differ():
    drawn = [generate_name("job-").removeprefix("job-") for _ in range(MANY)]
    assert {len(name) for name in drawn} == {5}
    assert len(set(drawn)) > MANY - 5
    for place in range(5):
        assert {name[place] for name in drawn} == set("bcdfghjklmnpqrstvwxz2456789")


async def test_every_object_has_a_uid_of_its_own(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        uids = set()
        for number in range(MANY):
            made = {"metadata": {"name": f"c{number}", "namespace": "default"}}
            uids.add((await client.create(CONFIG_MAPS, made))["metadata"]["uid"])
    assert len(uids) == MANY
    assert {uuid.UUID(uid).version for uid in uids} == {4}
