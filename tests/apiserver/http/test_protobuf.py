"""Bodies in Kubernetes' protobuf come out as the JSON that the client would have sent."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.apiserver.http.protobuf.decode import decode
from tidegate.apiserver.http.protobuf.messages import Shape, messages
from tidegate.apiserver.http.protobuf.wire import read_fields, signed
from tidegate.kube.errors import BadRequest

SCALARS = {"string", "int", "bool", "double", "bytes", "Time", "MicroTime", "Quantity"} | {
    "IntOrString",
    "FieldsV1",
    "RawExtension",
    "ExtraValue",
}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def body(version: str, kind: str, message: bytes) -> bytes:
    return b"k8s\0" + chunk(1, chunk(1, version) + chunk(2, kind)) + chunk(2, message)


def encode(value: dict[str, Any], kind: str) -> bytes:
    """An encoder for strings, numbers, lists, maps and messages, by the same table of fields."""
    by_name = {field.name: (index, field) for index, field in messages()[kind].items()}
    out = b""
    for name, content in value.items():
        index, field = by_name[name]
        if field.shape is Shape.MAP:
            for key, entry in content.items():
                out += chunk(index, chunk(1, key) + chunk(2, entry))
            continue
        for item in content if field.shape is Shape.LIST else [content]:
            if field.type in ("int", "bool"):
                out += number(index, int(item))
            elif field.type == "string":
                out += chunk(index, item)
            else:
                out += chunk(index, encode(item, field.type))
    return out


def test_a_deployment_comes_out_as_it_went_in() -> None:
    deployment = {
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {"name": "a", "image": "one", "args": ["-x", ""]},
                        {"name": "b", "image": "two", "ports": [{"containerPort": 8080}]},
                    ]
                },
            },
        },
    }
    decoded = decode(body("apps/v1", "Deployment", encode(deployment, "Deployment")))
    assert decoded == {"apiVersion": "apps/v1", "kind": "Deployment", **deployment}


def test_zeros_that_go_writes_for_everything_are_left_out_unless_they_say_something() -> None:
    spec = {"replicas": 0, "paused": False, "minReadySeconds": 0}
    decoded = decode(body("apps/v1", "Deployment", encode({"spec": spec}, "Deployment")))
    assert decoded["spec"] == {"replicas": 0}


def test_times_and_quantities() -> None:
    moment = number(1, 1_700_000_000)
    metadata = chunk(1, "p") + chunk(8, moment)
    limits = chunk(1, "cpu") + chunk(2, chunk(1, "500m"))
    container = chunk(1, "c") + chunk(8, chunk(1, limits))
    pod = decode(body("v1", "Pod", chunk(1, metadata) + chunk(2, chunk(2, container))))
    assert pod["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m"}


def test_kinds_of_the_same_name_are_told_apart_by_their_version() -> None:
    known = {"reason": "Tested", "note": "twice", "series": {"count": 2}}
    for version, fields in (
        ("v1", {"reason": "Tested", "message": "twice", "series": {"count": 2}}),
        ("events.k8s.io/v1", known),
    ):
        table = f"{version}/Event" if "/" in version else "Event"
        decoded = decode(body(version, "Event", encode(fields, table)))
        assert decoded == {"apiVersion": version, "kind": "Event", **fields}


def test_json_inside_the_envelope() -> None:
    envelope = b"k8s\0" + chunk(2, b'{"kind":"Unicorn"}') + chunk(4, "application/json")
    assert decode(envelope) == {"kind": "Unicorn"}


def test_a_kind_without_a_table_asks_for_json() -> None:
    with pytest.raises(BadRequest, match=r"Unicorn.*send JSON"):
        decode(body("v1", "Unicorn", b""))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{}",
        b"k8s\0\xff",
        body("v1", "Pod", b"\x0a\xff\x01"),
        body("v1", "Pod", number(1, 5)),
        body("v1", "Pod", b"\x0f"),
    ],
    ids=["empty", "json", "cut", "beyond", "number-for-message", "wire-type"],
)
def test_damaged_bodies_are_the_clients_fault(damaged: bytes) -> None:
    with pytest.raises(BadRequest, match="no valid protobuf"):
        decode(damaged)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for damaged in (data, b"k8s\0" + data, body("v1", "Pod", data)):
        try:
            assert isinstance(decode(damaged), dict | list | str | int | float | None)
        except BadRequest:
            continue


def test_fields_of_unknown_numbers_are_passed_over() -> None:
    unknown = varint(99 << 3 | 1) + struct.pack("<d", 1.5) + varint(98 << 3 | 5) + b"\0\0\0\0"
    assert decode(body("v1", "Pod", unknown)) == {"apiVersion": "v1", "kind": "Pod"}


@given(st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1))
def test_integers_keep_their_sign(value: int) -> None:
    [(field, raw)] = read_fields(number(3, value))
    assert field == 3
    assert isinstance(raw, int)
    assert signed(raw) == value


def test_the_table_names_only_messages_that_it_has() -> None:
    known = messages()
    for name, message in known.items():
        for field in message.values():
            assert field.type in SCALARS or field.type in known, f"{name}.{field.name}"
            assert field.name != "-" or field.shape is Shape.SINGLE
