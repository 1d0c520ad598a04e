"""Serves the OpenAPI documents: made when first asked for, kept compressed, named by their hash."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass

import orjson

from tidegate.apiserver.http.accept import parse_accept
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.openapi import protobuf, v2, v3
from tidegate.apiserver.registry.registry import Registry
from tidegate.kube.errors import ApiError

_V3 = "/openapi/v3"
_V2 = "/openapi/v2"
_V2_PROTOBUF = "/openapi/v2?protobuf"
_JSON_TYPES = ("application/json", "application/*", "*/*")


class NoSuchFormatError(ApiError):
    """The document is not served in a format the client accepts."""

    code = 406
    reason = "NotAcceptable"


@dataclass(frozen=True)
class _Document:
    compressed: bytes
    hash: str


class OpenApiDocuments:
    """All documents of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._documents: dict[str, _Document] = {}
        self._making = asyncio.Lock()
        registry.subscribe(self._forget)

    async def handle(self, exchange: Exchange, path: str) -> bool:
        """Answer a path below `/openapi`; False when there is no such document.

        Raises:
            NoSuchFormatError: the client takes no JSON.
        """
        if path == _V3:
            documents = await self._all()
            await exchange.reply_json(_index(documents))
            return True
        documents = await self._all()
        content_type = "application/json" if path != _V2 else _v2_type(exchange)
        document = documents.get(_V2_PROTOBUF if content_type == protobuf.MEDIA_TYPE else path)
        if document is None:
            return False
        if path != _V2:
            _check_accepts_json(exchange)
        await _send(exchange, document, content_type.encode())
        return True

    async def _all(self) -> dict[str, _Document]:
        async with self._making:
            if not self._documents:
                # Kinds may come and go meanwhile: then it is made again for the next one.
                generation = self._registry.generation
                documents = await asyncio.to_thread(_make, self._registry)
                if generation != self._registry.generation:
                    return documents
                self._documents = documents
            return self._documents

    def _forget(self) -> None:
        self._documents = {}


def _make(registry: Registry) -> dict[str, _Document]:
    groups = v3.group_versions(registry)
    sources = {path: v3.document(registry, specs) for path, specs in groups.items()}
    documents = {f"{_V3}/{path}": _document(source) for path, source in sources.items()}
    old = v2.document(sources.values())
    documents[_V2] = _document(old)
    documents[_V2_PROTOBUF] = _compressed(protobuf.encode(old))
    return documents


def _document(value: object) -> _Document:
    return _compressed(orjson.dumps(value))


def _compressed(content: bytes) -> _Document:
    digest = hashlib.sha512(content).hexdigest().upper()
    return _Document(gzip.compress(content, 6, mtime=0), digest)


def _index(documents: dict[str, _Document]) -> dict[str, object]:
    return {
        "paths": {
            path.removeprefix(f"{_V3}/"): {"serverRelativeURL": f"{path}?hash={document.hash}"}
            for path, document in documents.items()
            if path.startswith(f"{_V3}/")
        }
    }


async def _send(exchange: Exchange, document: _Document, content_type: bytes) -> None:
    tag = f'"{document.hash}"'
    headers = [(b"etag", tag.encode()), (b"vary", b"Accept, Accept-Encoding")]
    if exchange.query.get("hash") == document.hash:
        # The URL names the content, so it may be kept for ever.
        headers.append((b"cache-control", b"public, immutable"))
        headers.append((b"expires", b"Fri, 31 Dec 2099 23:59:59 GMT"))
    if exchange.headers.get("if-none-match") == tag:
        await exchange.not_modified(content_type, headers)
    elif "gzip" in exchange.headers.get("accept-encoding", ""):
        headers.append((b"content-encoding", b"gzip"))
        await exchange.reply(
            (document.compressed,), content_type=content_type, headers=headers, compress=False
        )
    else:
        content = gzip.decompress(document.compressed)
        await exchange.reply((content,), content_type=content_type, headers=headers)


def _v2_type(exchange: Exchange) -> str:
    for media in parse_accept(exchange.headers.get("accept", "")):
        if media.type in protobuf.ASKED_TYPES:
            return protobuf.MEDIA_TYPE
        if media.type in _JSON_TYPES:
            break
    else:
        _check_accepts_json(exchange)
    return _JSON_TYPES[0]


def _check_accepts_json(exchange: Exchange) -> None:
    accepted = parse_accept(exchange.headers.get("accept", ""))
    if accepted and not any(media.type in _JSON_TYPES for media in accepted):
        raise NoSuchFormatError("only the following media types are accepted: application/json")
