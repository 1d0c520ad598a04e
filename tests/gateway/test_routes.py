"""Routes as map entries: percents exact, and changes in an order that never misleads."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.apis.networking import RULE_HEADER
from tidegate.gateway.model import HostRoute, Split
from tidegate.gateway.routes import AGAIN, RouteError, changes, entries, host_routes
from tidegate.kube.objects import Key, Object

ALL = {"serviceName": "r", "percent": 100}


def slot_of(revision: Key) -> str:
    return f"slot-{revision.name}"


@st.composite
def splits(draw: st.DrawFn) -> tuple[Split, ...]:
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=6)))
    bounds = [0, *cuts, 100]
    return tuple(
        Split(Key("default", f"rev-{number}"), after - before)
        for number, (before, after) in enumerate(pairwise(bounds))
    )


@given(splits())
def test_every_percent_has_exactly_its_share_of_a_hundred(parts: tuple[Split, ...]) -> None:
    found = entries([HostRoute("a.example", "", parts)], slot_of, name="owner")

    target = found["a.example"]
    shares = (
        Counter(found[f"{target}|{share}"] for share in range(100))
        if target.startswith("%")
        else Counter({target: 100})
    )

    wanted = {slot_of(part.revision): part.percent for part in parts if part.percent}
    assert dict(shares) == wanted


@given(splits(), splits())
def test_a_host_never_leads_to_what_is_not_there(
    before: tuple[Split, ...], after: tuple[Split, ...]
) -> None:
    present = entries(
        [HostRoute("a", "", before), HostRoute("gone", "", before)], slot_of, name="owner"
    )
    wanted = entries(
        [HostRoute("a", "", after), HostRoute("new", "", after)], slot_of, name="owner"
    )
    table = dict(present)

    for command in changes("m", present, wanted):
        verb, _, _, key, *value = command.split()
        if verb == "del":
            del table[key]
        else:
            assert (key in table) == (verb == "set")
            table[key] = value[0]
        for host, target in table.items():
            if target.startswith("%") and not host.startswith("%"):
                assert all(f"{target}|{share}" in table for share in range(100))

    assert table == wanted


def kingress(*, splits: list[Object], host: str = "A.Example", **path: object) -> Object:
    return {
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"rules": [{"hosts": [host], "http": {"paths": [{"splits": splits, **path}]}}]},
    }


def test_a_rule_is_read_with_its_tag() -> None:
    half = {"serviceName": "r1", "serviceNamespace": "default", "percent": 50}
    other = {**half, "serviceName": "r2"}
    tag = {"Knative-Serving-Tag": {"exact": "Next"}}

    (route,) = host_routes(kingress(splits=[half, other], headers=tag))

    assert route == HostRoute(
        "a.example",
        "next",
        (Split(Key("default", "r1"), 50), Split(Key("default", "r2"), 50)),
    )
    assert "a.example|tag:next" in entries([route], slot_of, name="owner")


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (kingress(splits=[{"serviceName": "r", "percent": 99}]), "sum to 100, not to 99"),
        (kingress(splits=[ALL], path="x"), "does not begin with /"),
        (kingress(splits=[{"percent": 100}]), "needs serviceName"),
        (
            kingress(splits=[{"serviceName": "r", "percent": 100}], host="a b;del map x"),
            "no host name",
        ),
        (kingress(splits=[ALL], headers={"X Y": {"exact": "y"}}), "no header"),
        (kingress(splits=[ALL], appendHeaders={"X": "a\r\nY: b"}), "no header"),
        (kingress(splits=[ALL], rewriteHost="a b"), "no host name"),
        (kingress(splits=[{**ALL, "serviceNamespace": "other"}]), "other namespaces"),
        (
            kingress(splits=[ALL], path="/x", headers={RULE_HEADER: {"exact": "y"}}),
            "do not go together",
        ),
    ],
)
def test_what_cannot_be_served_is_said(obj: Object, said: str) -> None:
    with pytest.raises(RouteError, match=said) as caught:
        host_routes(obj)
    assert "spec.rules[0]" in str(caught.value)


def test_paths_of_a_host_are_one_word_of_its_conditions() -> None:
    append = {"X-A": "a b,=:+&", "Knative-Serving-Revision": "r"}
    obj = kingress(
        splits=[{"serviceName": "web", "servicePort": 57, "appendHeaders": {"X-B": "b"}}],
        path="/foo",
        headers={"X-Beta": {"exact": "1"}},
        appendHeaders=append,
        rewriteHost="Other.Example",
    )

    found = entries(host_routes(obj), slot_of, name="owner")

    host = found["a.example"]
    assert host.startswith("~")
    assert found[f"{host}|paths"] == (
        "%2Ffoo:X-Beta=1:other.example:100&slot-web:57&X-A=a%20b%2C%3D%3A%2B%26&X-B=b"
    )


def test_what_is_only_another_name_needs_the_host_that_it_is() -> None:
    def alias(revision: Key) -> str:
        return AGAIN

    paths = kingress(splits=[ALL], path="/foo")
    for obj in (kingress(splits=[ALL]), paths):
        with pytest.raises(RouteError, match="rewriteHost"):
            entries(host_routes(obj), alias, name="owner")
    obj = kingress(splits=[ALL], rewriteHost="b.example")
    found = entries(host_routes(obj), alias, name="owner")
    assert found[f"{found['a.example']}|paths"] == "::b.example:100&@"


@st.composite
def released(draw: st.DrawFn) -> list[HostRoute]:
    """A host as a Route has it: percents, perhaps tags by rule, perhaps redirected."""
    tags = draw(st.lists(st.sampled_from(["canary", "beta"]), unique=True))
    rules = draw(st.sampled_from(["one", "two"]))
    redirects = draw(st.booleans())
    routes = [HostRoute("a", "", draw(splits()), redirects=redirects, rules=rules)]
    return routes + [HostRoute("a", tag, draw(splits()), by_rule=True) for tag in tags]


@settings(deadline=None, max_examples=40)
@given(released(), released())
def test_a_host_with_conditions_changes_in_one_step(
    before: list[HostRoute], after: list[HostRoute]
) -> None:
    def whole(table: dict[str, str]) -> set[str]:
        """Everything the host may ask for, in the table at this moment."""
        first = table["a"]
        keys = {key for key in table if key.startswith(f"{first}|")} if first[0] == "~" else set()
        found = {"a", *keys}
        for target in {table[key] for key in keys} | {first}:
            if target.startswith("%"):
                found |= {f"{target}|{share}" for share in range(100)}
        assert found <= table.keys()
        return {f"{key}={table[key]}" for key in found}

    present = entries(before, slot_of, name="owner")
    wanted = entries(after, slot_of, name="owner")
    table = dict(present)
    complete = whole(present), whole(wanted)

    for command in changes("m", present, wanted):
        verb, _, _, key, *value = command.split()
        if verb == "del":
            del table[key]
        else:
            table[key] = value[0]
        assert whole(table) in complete

    assert table == wanted


def test_plain_http_is_not_sent_to_nowhere() -> None:
    half = {"serviceName": "r", "serviceNamespace": "default", "percent": 100}
    obj = kingress(splits=[half])
    obj["spec"]["httpOption"] = "Redirected"
    with pytest.raises(RouteError, match="--https-port"):
        entries(host_routes(obj), slot_of, name="owner", has_https=False)
    assert entries(host_routes(obj), slot_of, name="owner")["a.example"].startswith("~")
    obj["spec"]["rules"][0]["visibility"] = "ClusterLocal"
    assert entries(host_routes(obj), slot_of, name="owner")["a.example"] == "slot-r"
