"""Rules in the Common Expression Language: what they see, what they say, when they are asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.custom_kinds import (
    WIDGETS,
    definition,
    established,
    version,
    widget,
    with_custom_kinds,
)
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.rules import Judge, check_rules, compiled
from tidegate.kube.errors import Invalid
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS

RULES = "x-kubernetes-validations"
INTEGER = {"type": "integer"}
STRING = {"type": "string"}


def ruled(rule: str, *, properties: dict[str, Any] | None = None, **rest: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties or {}, RULES: [{"rule": rule, **rest}]}


def judged(schema: dict[str, Any], value: Any, old: Any = None) -> list[str]:
    errors = FieldErrors()
    Judge(errors).judge(schema, value, old, "spec")
    return [f"{cause.field}: {cause.message}" for cause in errors.causes]


PAIR = {"a": INTEGER, "b": INTEGER}


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("self.a < self.b", {"a": 1, "b": 2}),
        ("!has(self.b) || self.b > 0", {"a": 1}),
        ("self.list.all(i, i > 0) && size(self.list) == 2", {"list": [1, 2]}),
        ("self.list.isSorted() && self.list.sum() == 6", {"list": [1, 2, 3]}),
        ("self.text.lowerAscii() == 'abc' && self.text.matches('^[A-Z]+$')", {"text": "ABC"}),
        ("self.text.split(',').join('-') == 'a-b'", {"text": "a,b"}),
        ("self.text.substring(1, 3) == self.text.find('b.')", {"text": "abcd"}),
        ("self.when > timestamp('2020-01-01T00:00:00Z')", {"when": "2026-01-01T00:00:00Z"}),
        ("cel.bind(n, self.a + 1, cel.bind(m, n * n, m == n * n && n == 2))", {"a": 1}),
        ("cel.bind(t, 'a,(b', self.list.all(i, t == 'a,(b'))", {"list": [1]}),
        ("self.?a.orValue(7) == 1 && self.?b.orValue(7) == 7", {"a": 1}),
        ("!self.?map.k.?l.hasValue() && self.?map.k.hasValue()", {"map": {"k": {}}}),
        ("self.maps.all(m, m.?k.orValue('x') in ['x', 'v'])", {"maps": [{"k": "v"}, {}]}),
        ("self.maps[0].?k.orValue('self.?a') == 'self.?a'", {"maps": [{}]}),
        ("self.text.matches('^a.?[?-]b$')", {"text": "a-b"}),
        ("'%s has %d'.format([self.text, self.a]) == 'x has 1'", {"text": "x", "a": 1}),
        ("!format.dns1123Label().validate(self.text).hasValue()", {"text": "a-b"}),
        ("format.named('uuid').value().validate(self.text).hasValue()", {"text": "a-b"}),
        ("!format.dns1123LabelPrefix().validate(self.text).hasValue()", {"text": "a-"}),
        ("!format.named('nonsense').hasValue()", {}),
        ("self.__namespace__ == 'x' && self.a__dash__b == 1", {"namespace": "x", "a-b": 1}),
        ("'free key' in self.map", {"map": {"free key": 1}}),
    ],
)
def test_what_holds(rule: str, value: dict[str, Any]) -> None:
    properties = {
        **PAIR,
        "list": {"type": "array", "items": INTEGER},
        "text": STRING,
        "when": {"type": "string", "format": "date-time"},
        "namespace": STRING,
        "a-b": INTEGER,
        "map": {"type": "object", "additionalProperties": INTEGER},
    }
    assert compiled(rule).known
    assert judged(ruled(rule, properties=properties), value) == []
    assert judged(ruled(f"!({rule})", properties=properties), value) != []


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ({}, 'spec: Invalid value: "object": failed rule: self.a < self.b'),
        ({"message": "a is below b"}, 'spec: Invalid value: "object": a is below b'),
        (
            {"message": "x", "messageExpression": "'a is ' + string(self.a)"},
            'spec: Invalid value: "object": a is 3',
        ),
        (
            {"message": "no", "reason": "FieldValueForbidden", "fieldPath": ".a"},
            "spec.a: Forbidden: no",
        ),
    ],
)
def test_what_is_said(rest: dict[str, str], problem: str) -> None:
    schema = ruled("self.a < self.b", properties=PAIR, **rest)
    assert judged(schema, {"a": 3, "b": 2}) == [problem]


def test_what_cannot_be_evaluated_does_not_hold() -> None:
    [problem] = judged(ruled("self.b > 1", properties=PAIR), {"a": 1})
    assert problem.startswith('spec: Invalid value: "object": rule evaluation error')


def test_a_value_is_compared_with_what_was_there_before() -> None:
    schema = {**INTEGER, RULES: [{"rule": "self >= oldSelf", "message": "never less"}]}
    assert judged(schema, 1) == []
    assert judged(schema, 2, 1) == []
    assert judged(schema, 1, 2) == ["spec: Invalid value: 1: never less"]


def test_items_are_known_by_their_keys() -> None:
    item = {"type": "object", "properties": {"k": STRING, "v": INTEGER}}
    item[RULES] = [{"rule": "self.v == oldSelf.v", "message": "fixed"}]
    keyed = {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
    }
    old = [{"k": "a", "v": 1}, {"k": "b", "v": 2}]
    new = [{"k": "c", "v": 9}, {"k": "b", "v": 3}, {"k": "a", "v": 1}]
    assert judged(keyed, new, old) == ['spec[1]: Invalid value: "object": fixed']
    atomic = {"type": "array", "items": item}
    assert judged(atomic, new, old) == []


def test_the_number_of_questions_is_bounded() -> None:
    many = {"type": "array", "items": {**INTEGER, RULES: [{"rule": "self > 0"}]}}
    [problem] = judged(many, [1] * 20_000)
    assert "too many validation rules" in problem


def test_rules_that_cannot_be_read_and_those_that_are_not_offered() -> None:
    errors = FieldErrors()
    check_rules(ruled("self."), "s", errors)
    [cause] = errors.causes
    assert cause.field == f"s.{RULES}[0].rule"
    assert 'Invalid value: "self.": compilation failed' in cause.message
    for rule in ("self[?'a'].orValue(1) == 1", "f(self).?a.orValue(1) == 1"):
        assert not compiled(rule).known
        assert judged(ruled(rule, properties=PAIR), {"a": 1}) == []


@pytest.mark.parametrize(
    ("rule", "holds", "fails"),
    [
        ("quantity(self).isGreaterThan(quantity('1'))", "1001m", "1"),
        ("quantity(self) == quantity('1Ki')", "1024", "1k"),
        ("isQuantity(self) && quantity(self).add(quantity('1')).compareTo(quantity('2')) == 0",
         "1000m", "many"),
        ("quantity(self).sub(1).isInteger() && quantity(self).asInteger() == 2", "2", "2500m"),
        ("quantity(self).sign() == -1 && quantity(self).isLessThan(quantity('0'))", "-1", "0"),
        ("isURL(self) && url(self).getScheme() == 'https' && url(self).getPort() == '8443'",
         "https://a.b:8443/c?d=e", "https://a.b/c"),
        ("url(self).getHostname() == 'a.b' && url(self).getQuery()['d'] == ['e']",
         "https://a.b:8443/c?d=e", "https://a.b/c?d=f"),
        ("isIP(self) && ip(self).family() == 4 && !ip(self).isLoopback()", "10.0.0.1", "127.0.0.1"),
        ("ip.isCanonical(self) && ip(self).family() == 6", "2001:db8::1", "2001:DB8::1"),
        ("ip(self).isGlobalUnicast()", "10.0.0.1", "169.254.0.1"),
        ("isCIDR(self) && cidr(self).containsIP('10.0.0.9')", "10.0.0.0/8", "10.0.0.0/31"),
        ("cidr(self).containsCIDR('10.1.0.0/16') && cidr(self).prefixLength() < 9",
         "10.0.0.0/8", "11.0.0.0/8"),
        ("cidr(self).masked() == cidr(self) && cidr(self).ip() == ip('10.0.0.0')",
         "10.0.0.0/8", "10.0.0.1/8"),
        ("optional.of(self).value() == 'a' && !optional.none().hasValue()", "a", "b"),
    ],
)  # fmt: skip
def test_values_of_kubernetes_own_types(rule: str, holds: str, fails: str) -> None:
    schema = {"type": "string", RULES: [{"rule": rule}]}
    assert compiled(rule).known
    assert judged(schema, holds) == []
    assert len(judged(schema, fails)) == 1


def test_what_was_before_may_be_optional() -> None:
    text = "!oldSelf.hasValue() || oldSelf.value() == self"
    schema = {"type": "string", RULES: [{"rule": text, "optionalOldSelf": True}]}
    assert judged(schema, "a") == []
    assert judged(schema, "a", "a") == []
    assert judged(schema, "b", "a") == [f'spec: Invalid value: "b": failed rule: {text}']
    required = {**schema, RULES: [{"rule": "oldSelf.hasValue()", "optionalOldSelf": True}]}
    assert len(judged(required, "a")) == 1


async def test_a_kind_with_rules(tmp_path) -> None:
    served = version("v1", storage=True)
    root = served["schema"]["openAPIV3Schema"]
    spec = {**root["properties"]["spec"], RULES: [{"rule": "self.size < 9", "message": "small"}]}
    status = ruled("self.seen >= 0", properties={"seen": INTEGER})
    properties = {**root["properties"], "spec": spec, "status": status}
    served["schema"] = {"openAPIV3Schema": {**root, "properties": properties}}
    async with with_custom_kinds(tmp_path) as (api, client):
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(versions=[served]))
        await established(api, client)
        made = await client.create(WIDGETS, widget())
        with pytest.raises(Invalid, match='spec: Invalid value: "object": small'):
            await client.patch(WIDGETS, "w", {"spec": {"size": 9}}, namespace="default")
        with pytest.raises(Invalid, match=r"status: .*failed rule: self.seen >= 0"):
            await client.update(WIDGETS, {**made, "status": {"seen": -1}}, subresource="status")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'%s, %s and %s'.format([self.a, true, null])", "1, true and null"),
        ("'%s'.format([[1, 'b', 2.5]])", "[1, b, 2.5]"),
        ("'%s'.format([{'b': 2.0, 'a': [1]}])", "{a: [1], b: 2}"),
        ("'%s, %s'.format([1e20, b'ab'])", "100000000000000000000, ab"),
        ("'%s'.format([timestamp('2026-01-02T03:04:05Z')])", "2026-01-02T03:04:05Z"),
        ("'%s'.format([duration('90m')])", "5400s"),
        ("'%d %% of %.2f, %f'.format([50, 1.005, 2])", "50 % of 1.00, 2.000000"),
        ("'%.3e'.format([1234.5])", "1.234e+03"),
        ("'%b %b %o'.format([5, true, 8])", "101 1 10"),
        ("'%x %X %x'.format([255, 255, 'hi'])", "ff FF 6869"),
        ("'none'.format([])", "none"),
    ],
)
def test_texts_are_put_together(expression: str, text: str) -> None:
    rule = {"rule": "false", "messageExpression": expression}
    schema = {"type": "object", "properties": PAIR, RULES: [rule]}
    assert judged(schema, {"a": 1}) == [f'spec: Invalid value: "object": {text}']


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("'%d'.format(['x'])", "decimal clause can only be used on integers, was given x"),
        ("'%d'.format([true])", "decimal clause can only be used on integers, was given true"),
        ("'%f'.format(['x'])", "fixed-point clause can only be used on numbers, was given x"),
        ("'%s %s'.format(['x'])", "too few arguments to format"),
        ("'%q'.format(['x'])", 'unrecognized formatting clause "q"'),
        ("'%.999999999f'.format([1.0])", "more than 1000 decimals"),
    ],
)
def test_a_text_that_cannot_be_put_together(expression: str, problem: str) -> None:
    [said] = judged(ruled(f"{expression} == ''", properties=PAIR), {"a": 1})
    assert "rule evaluation error" in said
    assert problem in said
