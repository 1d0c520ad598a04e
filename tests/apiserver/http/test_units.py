"""The small parts of the HTTP face, each alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from tests.support.virtual_clock import VirtualClock
from tidegate.apiserver.audit import AuditLog
from tidegate.apiserver.discovery import sort_versions
from tidegate.apiserver.http.accept import NotAcceptable, negotiate
from tidegate.apiserver.http.bodies import decode_object, decode_yaml
from tidegate.apiserver.http.fairness import Fairness
from tidegate.apiserver.http.paths import ResourcePath, parse_resource_path, verb_of
from tidegate.apiserver.http.query import delete_options, flag, number, request_context
from tidegate.apiserver.requests import FieldValidation, RequestContext, User
from tidegate.kube.errors import (
    ApiError,
    BadRequest,
    Invalid,
    MethodNotAllowed,
    TooManyRequests,
    UnsupportedMediaType,
)

USER = User("u", ("g",))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ResourcePath("", "v1", "pods")),
        ("/api/v1/namespaces", ResourcePath("", "v1", "namespaces")),
        ("/api/v1/namespaces/a", ResourcePath("", "v1", "namespaces", "", "a")),
        (
            "/api/v1/namespaces/a/finalize",
            ResourcePath("", "v1", "namespaces", "", "a", "finalize"),
        ),
        ("/api/v1/namespaces/a/pods", ResourcePath("", "v1", "pods", "a")),
        ("/api/v1/watch/pods", ResourcePath("", "v1", "pods", watch=True)),
        ("/api/v1/watch/namespaces/a", ResourcePath("", "v1", "namespaces", "", "a", watch=True)),
        (
            "/apis/apps/v1/watch/namespaces/a/deployments/b",
            ResourcePath("apps", "v1", "deployments", "a", "b", watch=True),
        ),
        ("/api/v1/namespaces/a/pods/b", ResourcePath("", "v1", "pods", "a", "b")),
        ("/api/v1/namespaces/a/pods/b/log", ResourcePath("", "v1", "pods", "a", "b", "log")),
        (
            "/api/v1/namespaces/a/services/b/proxy/c/d",
            ResourcePath("", "v1", "services", "a", "b", "proxy", ("c", "d")),
        ),
        ("/apis/apps/v1/deployments", ResourcePath("apps", "v1", "deployments")),
        ("/api", None),
        ("/api/v1", None),
        ("/apis/apps/v1", None),
        ("/healthz", None),
        ("/", None),
    ],
)
def test_paths(path: str, expected: ResourcePath | None) -> None:
    assert parse_resource_path(path) == expected


def test_verbs() -> None:
    collection, item = ResourcePath("", "v1", "pods", "a"), ResourcePath("", "v1", "pods", "a", "b")
    assert verb_of("GET", collection, watch=False) == "list"
    assert verb_of("GET", collection, watch=True) == "watch"
    assert verb_of("GET", item, watch=False) == "get"
    assert verb_of("DELETE", collection, watch=False) == "deletecollection"
    for method, target in (("PUT", collection), ("POST", item), ("TRACE", item)):
        with pytest.raises(MethodNotAllowed):
            verb_of(method, target, watch=False)


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("header", "transform"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        (f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", "Table"),
        (f"application/json;q=0.5,{TABLE};q=0.9", "Table"),
        ("application/vnd.kubernetes.protobuf,application/json", ""),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", ""),
    ],
)
def test_the_first_type_that_is_served_wins(header: str, transform: str) -> None:
    assert negotiate(header).transform == transform


def test_no_type_that_is_served() -> None:
    with pytest.raises(NotAcceptable):
        negotiate("application/vnd.kubernetes.protobuf")


def context(validation: FieldValidation = FieldValidation.STRICT) -> RequestContext:
    return RequestContext(USER, field_validation=validation)


def test_a_field_given_twice_is_noted_unless_nobody_asks() -> None:
    body = b'{"a": 1, "b": [{"c": 1, "c": 2}], "a": 2}'
    noted = context()
    assert decode_object(body, "application/json", noted)["a"] == 2
    assert noted.duplicates == ['duplicate field "b[0].c"', 'duplicate field "a"']
    ignoring = context(FieldValidation.IGNORE)
    decode_object(body, "application/json", ignoring)
    assert ignoring.duplicates == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff"])
def test_bodies_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_object(body, "application/json", context())


def test_an_unknown_type_of_body() -> None:
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        decode_object(b"{}", "text/html", context())


def test_yaml_means_what_its_json_would() -> None:
    text = b"a: 2020-01-01\n1: yes\nc: [1, 2.5, ~]\n"
    assert decode_yaml(text) == {"a": "2020-01-01", "1": True, "c": [1, 2.5, None]}


def test_a_yaml_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(BadRequest, match="too many values"):
        decode_yaml("\n".join(lines).encode())


@pytest.mark.parametrize("body", [b"a: [", b"--- a\n--- b\n", b"a: !!python/object:os.system x"])
def test_yaml_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(BadRequest, match="YAML"):
        decode_yaml(body)


def test_query_values() -> None:
    assert flag({"a": "true"}, "a")
    assert not flag({}, "a")
    assert number({"a": "7"}, "a") == 7
    assert number({"a": ""}, "a") is None
    for value in ("x", "-1", "1.5", "9" * 30):
        with pytest.raises(BadRequest):
            number({"a": value}, "a")
    with pytest.raises(BadRequest):
        flag({"a": "maybe"}, "a")


def test_the_field_manager_defaults_to_the_program() -> None:
    made = request_context(USER, {}, [], agent="kubectl/v1.32 (linux)")
    assert (made.field_manager, made.field_validation) == ("kubectl", FieldValidation.WARN)
    made = request_context(USER, {"fieldManager": "m", "dryRun": "All"}, [], agent="x")
    assert (made.field_manager, made.dry_run) == ("m", True)


@pytest.mark.parametrize(
    "query", [{"dryRun": "Some"}, {"fieldValidation": "Loose"}, {"fieldManager": "x" * 200}]
)
def test_wrong_options_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        request_context(USER, query, [], agent="")


def test_delete_options_come_from_body_or_query() -> None:
    body = {
        "kind": "DeleteOptions",
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"},
    }
    options = delete_options({}, body)
    assert (options.propagation, options.grace_period_seconds, options.uid) == (
        "Foreground",
        0,
        "u",
    )
    assert delete_options({"gracePeriodSeconds": "3"}, None).grace_period_seconds == 3
    assert delete_options({}, {"orphanDependents": True}).propagation == "Orphan"
    with pytest.raises(BadRequest):
        delete_options({}, {"kind": "Pod"})


def test_versions_in_order_of_preference() -> None:
    versions = ["v1beta1", "v1", "v1alpha1", "v2", "v1beta2", "odd"]
    assert sort_versions(versions) == ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "odd"]


async def test_seats_go_round_the_flows() -> None:
    fairness = Fairness(seats=1)
    order: list[str] = []
    release = asyncio.Event()

    async def hold() -> None:
        async with fairness.seat("holder"):
            await release.wait()

    async def visit(flow: str) -> None:
        async with fairness.seat(flow):
            order.append(flow)

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        await asyncio.sleep(0)
        for flow in ("greedy", "greedy", "greedy", "modest"):
            group.create_task(visit(flow))
        await asyncio.sleep(0)
        release.set()
    assert order == ["greedy", "modest", "greedy", "greedy"]


async def test_a_full_queue_and_a_long_wait_are_refused() -> None:
    fairness = Fairness(seats=1, queue=1, wait_seconds=0.01)
    async with fairness.seat("a"):
        waiting = asyncio.create_task(_sit(fairness, "a"))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refusal:
            await _sit(fairness, "a")
        assert refusal.value.retry_after == 1
        with pytest.raises(TooManyRequests):
            await waiting
    await _sit(fairness, "a")


async def test_a_cancelled_wait_loses_no_seat() -> None:
    fairness = Fairness(seats=1)
    async with fairness.seat("a"):
        waiting = asyncio.create_task(_sit(fairness, "b"))
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(_sit(fairness, "c"), 1)


async def _sit(fairness: Fairness, flow: str) -> None:
    async with fairness.seat(flow):
        pass


async def test_the_audit_log_is_bounded_and_leaves_reads_out(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path, clock=VirtualClock(), max_bytes=2000, kept=2)
    running = asyncio.create_task(log.run())
    for index in range(100):
        verb, code = ("create", 201) if index % 2 else ("get", 200)
        log.record(user=USER, verb=verb, method="X", uri=f"/{index}", source="", code=code)
        if index % 10 == 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    files = _files(tmp_path)
    assert [file.name for file in files] == ["audit.log", "audit.log.1", "audit.log.2"]
    lines = [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert {line["verb"] for line in lines} == {"create"}
    assert _mode(path) & 0o077 == 0
    assert orjson.loads(path.read_bytes().splitlines()[-1])["uri"] == "/99"


def _files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def _mode(path: Path) -> int:
    return path.stat().st_mode


async def test_refused_reads_are_audited(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log", clock=VirtualClock())
    log.record(user=None, verb="get", method="GET", uri="/", source="127.0.0.1", code=401)
    running = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    entry = orjson.loads((tmp_path / "audit.log").read_bytes())
    assert (entry["code"], entry["user"]) == (401, "")


def test_every_refusal_has_its_own_code() -> None:
    assert {cls.code for cls in ApiError.__subclasses__()} >= {400, 401, 403, 404, 406, 409, 504}
