"""Gray releases: rules on headers, cookies and queries choose a tag, through a real HAProxy."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any
from urllib.parse import quote

import pytest

from tests.gateway.world import World
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.apis.networking import RULE_HEADER
from tidegate.apis.traffic_rules import TRAFFIC_RULES_ANNOTATION
from tidegate.kube.objects import Object

HOST = "sd.default.localhost"


async def release(world: World, rules: list[dict[str, str]], *, by_header: bool = False) -> None:
    """The KIngress of a Service with the tags canary and beta, as a Route makes it."""
    await world.route("sd", {"sd-00001": 100}, wait=False)
    ingress: Object = deepcopy(await world.get(KINGRESSES, "sd"))
    paths: list[Any] = ingress["spec"]["rules"][0]["http"]["paths"]
    for tag, revision in (("canary", "sd-00002"), ("beta", "sd-00003")):
        for header, wanted in (
            (RULE_HEADER, any(rule["tag"] == tag for rule in rules)),
            ("Knative-Serving-Tag", by_header),
        ):
            if wanted:
                path = deepcopy(paths[0])
                path["headers"] = {header: {"exact": tag}}
                path["splits"][0]["serviceName"] = revision
                paths.append(path)
    ingress["metadata"]["annotations"] = {TRAFFIC_RULES_ANNOTATION: json.dumps(rules)}
    made = await world.client.update(KINGRESSES, ingress)
    generation = made["metadata"]["generation"]
    await world.api.eventually(lambda: world._is_routed("sd", generation))


async def three_revisions(world: World) -> None:
    for number, pod in enumerate(("stable", "canary", "beta"), 1):
        await world.revision(f"sd-0000{number}")
        await world.pod(f"sd-0000{number}", pod)


async def reached(world: World, path: str = "/headers", **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await world.fetch("sd", path, headers=named)).pod


async def test_the_first_matching_rule_decides_and_else_the_percents(world: World) -> None:
    await three_revisions(world)
    await release(
        world,
        [
            {"tag": "canary", "header": "X-Gray", "value": "on"},
            {"tag": "beta", "cookie": "gray"},
            {"tag": "canary", "query": "user", "pattern": "cn-(1|2)[0-9]+"},
            {"tag": "beta", "header": "X-Gray", "pattern": "o."},
        ],
    )
    for wanted, path, headers in (
        ("stable", "/headers", {}),
        ("canary", "/headers", {"X_Gray": "on"}),
        ("canary", "/headers", {"x_gray": "on", "Cookie": "gray=always"}),
        ("beta", "/headers", {"X_Gray": "of"}),
        ("stable", "/headers", {"X_Gray": "off"}),
        ("stable", "/headers", {"X_Gray": "ON"}),
        ("beta", "/headers", {"Cookie": "theme=dark; gray=always; x=y"}),
        ("stable", "/headers", {"Cookie": "gray=never"}),
        ("stable", "/headers", {"Cookie": "notgray=always"}),
        ("canary", "/headers?user=cn-17", {}),
        ("canary", "/headers?a=b&user=cn%2d17", {}),
        ("stable", "/headers?user=cn-37", {}),
        ("stable", "/headers?user=x-cn-17", {}),
        ("stable", f"/headers?user=cn-1{'7' * 70}", {}),
    ):
        assert await reached(world, path, **headers) == wanted, (path, headers)


async def test_values_may_have_any_printable_character(world: World) -> None:
    await three_revisions(world)
    value = " ".join(["a%+:;\\\"'|~", "<b>", "{c}"])
    await release(
        world,
        [
            {"tag": "canary", "header": "X-Odd~Name", "value": value},
            {"tag": "canary", "query": "odd", "value": value},
        ],
    )
    assert await reached(world, **{"X-Odd~Name": value}) == "canary"
    assert await reached(world, f"/headers?odd={quote(value)}") == "canary"
    assert await reached(world, **{"X-Odd~Name": value[:-1]}) == "stable"


async def test_rules_change_and_stop_at_once(world: World) -> None:
    await three_revisions(world)
    rule = {"tag": "canary", "header": "X-Gray", "value": "on"}
    await release(world, [rule])
    before = world.gateway._plane.process.pid
    assert await reached(world, X_Gray="on") == "canary"

    await release(world, [{**rule, "value": "yes"}])
    assert await reached(world, X_Gray="on") == "stable"
    assert await reached(world, X_Gray="yes") == "canary"

    await release(world, [])
    assert await reached(world, X_Gray="yes") == "stable"
    assert world.gateway._plane.process.pid == before
    left = [key for key in world.gateway._plane.route_entries if key.startswith("~")]
    assert left == []


async def test_the_tag_header_goes_before_rules_and_clients_cannot_name_a_rule(
    world: World,
) -> None:
    await three_revisions(world)
    rules = [{"tag": "canary", "header": "X-Gray", "value": "on"}]
    await release(world, rules, by_header=True)
    assert await reached(world, X_Gray="on", Knative_Serving_Tag="beta") == "beta"
    assert await reached(world, X_Gray="on", Knative_Serving_Tag="none") == "canary"

    await release(world, rules)
    assert await reached(world, Knative_Serving_Tag="canary") == "stable"
    assert await reached(world, **{RULE_HEADER: "canary"}) == "stable"


async def test_rules_outlive_the_agent_and_haproxy_holds_no_more_than_they_need(
    world: World,
) -> None:
    await three_revisions(world)
    await release(world, [{"tag": "canary", "header": "X-Gray"}])
    await world.end_agent()
    assert await reached(world, X_Gray="always") == "canary"
    await world.start()
    assert await reached(world, X_Gray="always") == "canary"
    await world.client.delete(KINGRESSES, "sd", namespace="default")
    await world.api.eventually(lambda: not world.gateway._plane.route_entries)


@pytest.mark.parametrize("pattern", ["a.*.*.*b", "(a|b|c)(x|y)z?", r"\d\d\.\w+", "[^x]]?"])
async def test_patterns_match_as_the_same_pattern_does_elsewhere(
    world: World, pattern: str
) -> None:
    await three_revisions(world)
    await release(world, [{"tag": "canary", "header": "X-Gray", "pattern": pattern}])
    import re

    for value in ("a" * 60 + "c", "ab", "cxz", "by", "12.a", "12.", "a]", "x", "axx"):
        wanted = "canary" if re.fullmatch(pattern, value) else "stable"
        assert await reached(world, X_Gray=value) == wanted, value
