"""The protocol as any HTTP client sees it."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from tests.apiserver.http.face import Face
from tests.apiserver.http.requests import CONFIG_MAPS, config_map, refused
from tests.support.waiting import eventually

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
async def test_health_and_version_are_open_to_all(face: Face, path: str) -> None:
    response = await face.http(certificate=False).get(path)
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/", "/api", "/apis", "/openapi/v3", "/api/v1/pods", "/metrics"])
async def test_everything_else_wants_to_know_who_asks(face: Face, path: str) -> None:
    refused(await face.http(certificate=False).get(path), 401, "Unauthorized")


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic YTpi", "nonsense"])
async def test_wrong_credentials_are_refused_even_beside_a_certificate(
    face: Face, header: str
) -> None:
    response = await face.http().get("/api/v1/pods", headers={"Authorization": header})
    status = refused(response, 401, "Unauthorized")
    assert status["message"] == "Unauthorized"


async def test_a_certificate_of_another_authority_is_refused(face: Face, tmp_path: Any) -> None:
    from tidegate.apiserver.certificates import ensure_pki

    other = ensure_pki(
        tmp_path / "other",
        server_names=("x",),
        admin="tidegate-admin",
        admin_groups=("system:masters",),
        now=face.server.api.clock.time(),
    )
    context = ssl.create_default_context(cafile=str(face.directory / "pki" / "ca.crt"))
    context.load_cert_chain(other.admin.certificate, other.admin.key)
    async with httpx.AsyncClient(
        base_url=face.server.url, verify=context, trust_env=False
    ) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/api/v1/pods")


async def test_an_object_from_birth_to_death(face: Face) -> None:
    http = face.http()
    response = await http.post(CONFIG_MAPS, json=config_map("a", x="1"))
    assert response.status_code == 201
    created = response.json()
    response = await http.put(f"{CONFIG_MAPS}/a", json={**created, "data": {"x": "2"}})
    assert response.status_code == 200
    response = await http.put(f"{CONFIG_MAPS}/a", json={**created, "data": {"x": "3"}})
    refused(response, 409, "Conflict")
    response = await http.patch(
        f"{CONFIG_MAPS}/a",
        content=b'{"data":{"y":"1"}}',
        headers={"content-type": "application/merge-patch+json"},
    )
    assert response.json()["data"] == {"x": "2", "y": "1"}
    response = await http.delete(f"{CONFIG_MAPS}/a")
    status = response.json()
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"]["uid"] == created["metadata"]["uid"]
    status = refused(await http.get(f"{CONFIG_MAPS}/a"), 404, "NotFound")
    assert status["message"] == 'configmaps "a" not found'
    assert status["details"] == {"name": "a", "kind": "configmaps"}


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/api/v1/nothings", 404, "NotFound"),
        ("GET", "/apis/none/v1/things", 404, "NotFound"),
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/default/configmaps/a/nothing", 404, "NotFound"),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/configmaps", 405, "MethodNotAllowed"),
        ("POST", "/api", 405, "MethodNotAllowed"),
        ("POST", f"{CONFIG_MAPS}/a", 405, "MethodNotAllowed"),
    ],
)
async def test_unknown_paths_and_verbs(
    face: Face, method: str, path: str, code: int, reason: str
) -> None:
    refused(await face.http().request(method, path), code, reason)


@pytest.mark.parametrize(
    ("content", "content_type", "code", "reason"),
    [
        (b"{", "application/json", 400, "BadRequest"),
        (b"a: [", "application/yaml", 400, "BadRequest"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "application/json", 400, "BadRequest"),
        (b"{a: " * 1000 + b"1" + b"}" * 1000, "application/yaml", 400, "BadRequest"),
        (b"<x/>", "text/xml", 415, "UnsupportedMediaType"),
        (b"x" * (3 * 1024 * 1024 + 1), "application/json", 413, "RequestEntityTooLarge"),
    ],
)
async def test_bodies_that_are_refused(
    face: Face, content: bytes, content_type: str, code: int, reason: str
) -> None:
    http = face.http()
    response = await http.post(CONFIG_MAPS, content=content, headers={"content-type": content_type})
    refused(response, code, reason)
    assert (await http.get(CONFIG_MAPS)).json()["items"] == []


async def test_a_body_of_unknown_length_over_the_limit(face: Face) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65536

    response = await face.http().post(CONFIG_MAPS, content=endless())
    refused(response, 413, "RequestEntityTooLarge")


async def test_yaml_bodies(face: Face) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: '1'\n"
    response = await face.http().post(
        CONFIG_MAPS, content=text, headers={"content-type": "application/yaml"}
    )
    assert response.status_code == 201, response.text


async def test_headers_have_a_bound(face: Face) -> None:
    response = await face.http().get("/healthz", headers={"x-large": "x" * 70_000})
    assert response.status_code == 431


async def test_a_client_that_says_nothing_is_let_go(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.apiserver.http.protocol._HEADER_SECONDS", 0.05)
    pki = face.directory / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    reader, writer = await asyncio.open_connection("127.0.0.1", face.server.port, ssl=context)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.transport.abort()


async def test_dry_run_stores_nothing(face: Face) -> None:
    http = face.http()
    response = await http.post(f"{CONFIG_MAPS}?dryRun=All", json=config_map("a"))
    assert response.status_code == 201
    refused(await http.get(f"{CONFIG_MAPS}/a"), 404, "NotFound")
    refused(await http.post(f"{CONFIG_MAPS}?dryRun=Maybe", json=config_map("a")), 422, "Invalid")


async def test_unknown_fields_are_refused_or_warned_of(face: Face) -> None:
    http = face.http()
    body = {**config_map("a"), "bogus": 1}
    response = await http.post(f"{CONFIG_MAPS}?fieldValidation=Strict", json=body)
    assert 'unknown field "bogus"' in refused(response, 400, "BadRequest")["message"]
    response = await http.post(f"{CONFIG_MAPS}?fieldValidation=Warn", json=body)
    assert response.status_code == 201
    assert response.headers["warning"].startswith('299 - "unknown field')
    assert "bogus" not in response.json()


async def test_lists_in_pages_selected_and_as_tables(face: Face) -> None:
    http = face.http()
    for index in range(5):
        body = config_map(f"c{index}", n=str(index))
        body["metadata"]["labels"] = {"odd": str(index % 2)}
        await http.post(CONFIG_MAPS, json=body)
    page = (await http.get(CONFIG_MAPS, params={"limit": 3})).json()
    assert [item["metadata"]["name"] for item in page["items"]] == ["c0", "c1", "c2"]
    assert page["metadata"]["remainingItemCount"] == 2
    token = page["metadata"]["continue"]
    rest = (await http.get(CONFIG_MAPS, params={"limit": 3, "continue": token})).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c3", "c4"]
    odd = (await http.get("/api/v1/configmaps", params={"labelSelector": "odd=1"})).json()
    assert [item["metadata"]["name"] for item in odd["items"]] == ["c1", "c3"]
    table = (await http.get(CONFIG_MAPS, headers={"accept": TABLE})).json()
    assert table["kind"] == "Table"
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][:2] for row in table["rows"]] == [[f"c{i}", 1] for i in range(5)]
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    partial = (await http.get(CONFIG_MAPS, headers={"accept": accept})).json()
    assert partial["kind"] == "PartialObjectMetadataList"
    assert "data" not in partial["items"][0]


async def test_a_type_that_is_not_served(face: Face) -> None:
    accept = {"accept": "application/vnd.kubernetes.protobuf"}
    refused(await face.http().get(CONFIG_MAPS, headers=accept), 406, "NotAcceptable")


async def test_large_answers_are_compressed_for_those_who_can_take_it(face: Face) -> None:
    http = face.http()
    await http.post(CONFIG_MAPS, json=config_map("large", x="0123456789" * 30_000))
    plain = await http.get(f"{CONFIG_MAPS}/large", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    async with http.stream(
        "GET", f"{CONFIG_MAPS}/large", headers={"accept-encoding": "gzip"}
    ) as response:
        assert response.headers["content-encoding"] == "gzip"
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert len(raw) < len(plain.content) / 10
    assert gzip.decompress(raw) == plain.content


async def test_head_and_pretty(face: Face) -> None:
    http = face.http()
    response = await http.head("/api/v1/namespaces/default")
    assert (response.status_code, response.content) == (200, b"")
    response = await http.get("/api/v1/namespaces/default", params={"pretty": "true"})
    assert b'\n  "kind": "Namespace"' in response.content


async def test_deleting_a_collection(face: Face) -> None:
    http = face.http()
    for name in ("a", "b", "c"):
        body = config_map(name)
        body["metadata"]["labels"] = {"name": name}
        await http.post(CONFIG_MAPS, json=body)
    response = await http.delete(CONFIG_MAPS, params={"labelSelector": "name in (a, b)"})
    assert response.json()["kind"] == "ConfigMapList"
    left = (await http.get(CONFIG_MAPS)).json()["items"]
    assert [item["metadata"]["name"] for item in left] == ["c"]


async def test_many_requests_at_once_on_many_connections(face: Face) -> None:
    http = face.http()

    async def one(index: int) -> int:
        response = await http.post(CONFIG_MAPS, json=config_map(f"m{index}"))
        return response.status_code

    assert set(await asyncio.gather(*(one(index) for index in range(200)))) == {201}
    assert len((await http.get(CONFIG_MAPS)).json()["items"]) == 200


async def test_a_fault_of_ours_says_nothing_of_our_insides(
    face: Face, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(face.server.api, "list", broken)
    status = refused(await face.http().get(CONFIG_MAPS), 500, "InternalError")
    assert "secret" not in status["message"]
    assert "secret detail" in caplog.text


async def test_a_request_has_a_time_limit(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(*arguments: Any, **options: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(face.server.api, "list", stuck)
    monkeypatch.setattr("tidegate.apiserver.http.app._TIMEOUT_SECONDS", 0.05)
    refused(await face.http().get(CONFIG_MAPS), 504, "Timeout")


async def test_changes_are_audited(face: Face) -> None:
    http = face.http()
    await http.post(CONFIG_MAPS, json=config_map("a"))
    await http.get(CONFIG_MAPS)
    await eventually((face.directory / "audit.log").exists)
    text = await asyncio.to_thread((face.directory / "audit.log").read_text)
    (entry,) = [orjson.loads(line) for line in text.splitlines()]
    assert (entry["user"], entry["verb"], entry["code"]) == ("tidegate-admin", "create", 201)


async def test_times_come_back_in_one_form(face: Face) -> None:
    admin = face.http()
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    spec = {
        "acquireTime": "2026-01-02T05:04:05+02:00",
        "renewTime": "2026-01-02T03:04:05.123456789Z",
    }
    made = (await admin.post(leases, json={"metadata": {"name": "l"}, "spec": spec})).json()
    assert made["spec"] == {
        "acquireTime": "2026-01-02T03:04:05.000000Z",
        "renewTime": "2026-01-02T03:04:05.123456Z",
    }
    written = made["metadata"]["creationTimestamp"].replace("Z", "+00:00")
    made["metadata"]["creationTimestamp"] = written
    replaced = await admin.put(f"{leases}/l", json=made)
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["metadata"]["creationTimestamp"] == written.replace("+00:00", "Z")
    made["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    refused = await admin.put(f"{leases}/l", json=made)
    assert refused.status_code in (409, 422)
