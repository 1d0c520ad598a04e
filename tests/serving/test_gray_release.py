"""Rules for a gray release: what is refused, and what the gateway is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serving.support import running_serving, service
from tidegate.apis import networking, serving
from tidegate.apis.traffic_rules import (
    TRAFFIC_RULES_ANNOTATION,
    RuleError,
    encode_rules,
    parse_rules,
)
from tidegate.kube.errors import ApiError

RULES = """
- {tag: canary, header: X-Gray, value: "on"}
- {tag: canary, cookie: gray}
- {"tag": "next", "query": "version", "pattern": "v2.+"}
"""


def released(rules: str, *tags: str) -> dict[str, Any]:
    obj = service()
    obj["metadata"]["annotations"] = {TRAFFIC_RULES_ANNOTATION: rules}
    obj["spec"]["traffic"] = [
        {"latestRevision": True, "percent": 100},
        *({"latestRevision": True, "percent": 0, "tag": tag} for tag in tags),
    ]
    return obj


async def test_rules_reach_the_gateway_with_where_they_lead(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        await cluster.deploy(released(RULES, "canary", "next", "unused"))
        ingress = await cluster.get(networking.INGRESSES, "hello")
        assert parse_rules(ingress["metadata"]["annotations"][TRAFFIC_RULES_ANNOTATION])
        by_hosts = {rule["hosts"][0]: rule["http"]["paths"] for rule in ingress["spec"]["rules"]}
        for host in ("hello.default", "hello.default.localhost"):
            headers = [path.get("headers") for path in by_hosts[host]]
            assert headers == [
                {networking.RULE_HEADER: {"exact": "canary"}},
                {networking.RULE_HEADER: {"exact": "next"}},
                None,
            ]
        assert len(by_hosts["canary-hello.default.localhost"]) == 1

        gone = {"metadata": {"annotations": {TRAFFIC_RULES_ANNOTATION: None}}}
        await cluster.change(serving.SERVICES, "hello", gone)
        ingress = await cluster.get(networking.INGRESSES, "hello")
        assert TRAFFIC_RULES_ANNOTATION not in ingress["metadata"]["annotations"]
        assert all(len(rule["http"]["paths"]) == 1 for rule in ingress["spec"]["rules"])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("tag: canary", "expected a list of rules: {}"),
        ("- {", "neither YAML nor JSON"),
        ("[canary]", "expected a rule with tag and header, cookie or query: {}[0]"),
        ("[{tag: canary, header: X, colour: red}]", 'unknown field "colour"'),
        ("[{tag: canary, header: X, value: on}]", "True is no string: quote it: {}[0].value"),
        ("[{tag: canary}]", "expected exactly one of header, cookie and query, got neither: {}[0]"),
        ("[{tag: canary, header: X, cookie: y}]", "got header and cookie: {}[0]"),
        ("[{header: X}]", "missing: {}[0].tag"),
        ("[{tag: canary, header: X}, {tag: blue, header: X}]",
         'spec.traffic has no tag "blue": {}[1].tag'),
        ('[{tag: canary, header: "X Y"}]', '"X Y" is no name of a header: {}[0].header'),
        ("[{tag: canary, header: Tidegate-Pod}]", "the gateway drops headers"),
        ('[{tag: canary, header: X, value: ""}]', "printable ASCII characters: {}[0].value"),
        ("[{tag: canary, header: X, value: a, pattern: b}]", "got both: {}[0]"),
        ("[{tag: canary, header: X, pattern: '(a'}]", "no regular expression"),
        ("[{tag: canary, header: X, pattern: '(a+)+'}]",
         "groups cannot be repeated: {}[0].pattern"),
        ("[{tag: canary, header: X, pattern: 'a*b*c*d*'}]", "more than 3 repetitions"),
        ("[{tag: canary, header: X, pattern: '(?=a)b'}]", "begin with (?"),
        (r"[{tag: canary, header: X, pattern: '(a)\1'}]", "back references"),
        (str([{"tag": "canary", "header": "X"}] * 33), "33 rules are more than 32"),
        (str([{"tag": "canary", "header": "X", "value": "y" * 250}] * 20), "too long in all"),
    ],
)  # fmt: skip
async def test_bad_rules_are_refused_with_the_name_of_the_field(
    tmp_path: Path, rules: str, said: str
) -> None:
    async with running_serving(tmp_path) as cluster:
        with pytest.raises(ApiError) as caught:
            await cluster.apply(serving.SERVICES, released(rules, "canary"))
    where = f"metadata.annotations.{TRAFFIC_RULES_ANNOTATION}"
    assert said.format(where) in str(caught.value)
    assert where in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "- {tag: 2001-99-99, header: a}",
        "- !!int x",
        "- !!timestamp x",
        "[" * 5000,
        "- {tag: a, header: b}\n" * 1000,
    ],
)
def test_what_no_reader_of_yaml_can_read_is_no_list_of_rules(text: str) -> None:
    with pytest.raises(RuleError):
        parse_rules(text)


def test_what_is_written_for_the_gateway_is_one_word() -> None:
    word = encode_rules(parse_rules(RULES + "- {tag: a, header: b, value: 'x y;:+%|'}"))
    assert word.endswith("+a:header:b:value:x%20y%3B%3A%2B%25%7C")
    assert set(word) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%:+")
    assert encode_rules(parse_rules("")) == ""
