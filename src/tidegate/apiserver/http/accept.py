"""Content negotiation: what the client would like, and what of it is served."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tidegate.kube.errors import ApiError

JSON = "application/json"
_JSON_TYPES = frozenset((JSON, "application/*", "*/*"))


class NotAcceptable(ApiError):  # noqa: N818 - named by Kubernetes' reason
    """None of the types the client accepts is served."""

    code = 406
    reason = "NotAcceptable"


@dataclass(frozen=True)
class MediaType:
    """One acceptable type with its parameters, lower case."""

    type: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return dict(self.parameters).get(name, "")

    @property
    def transform(self) -> str:
        """`Table`, `PartialObjectMetadata`, ..., or empty for the object itself."""
        return self.get("as")


@lru_cache(maxsize=256)
def parse_accept(header: str) -> tuple[MediaType, ...]:
    """The types of an Accept header, best first."""
    weighted: list[tuple[float, int, MediaType]] = []
    for index, item in enumerate(header.split(",")):
        name, *parameters = (part.strip() for part in item.split(";"))
        if not name:
            continue
        pairs = [tuple(p.split("=", 1)) for p in parameters if "=" in p]
        kept = tuple((k.lower(), v) for k, v in pairs if k.lower() != "q")
        quality = next((_quality(v) for k, v in pairs if k.lower() == "q"), 1.0)
        weighted.append((-quality, index, MediaType(name.lower(), kept)))
    return tuple(media for _, _, media in sorted(weighted, key=lambda entry: entry[:2]))


@lru_cache(maxsize=256)
def negotiate(header: str) -> MediaType:
    """The first type that is JSON in a form that is served; no header accepts plain JSON.

    Raises:
        NotAcceptable: there is none.
    """
    accepted = parse_accept(header)
    if not accepted:
        return MediaType(JSON)
    for media in accepted:
        if media.type in _JSON_TYPES and _served(media):
            return media
    raise NotAcceptable(
        f"only the following media types are accepted: {JSON}, and {JSON} as a Table or as "
        "PartialObjectMetadata of meta.k8s.io/v1"
    )


def _served(media: MediaType) -> bool:
    if not media.transform:
        return True
    return (
        media.transform in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
        and media.get("g") == "meta.k8s.io"
        and media.get("v") in ("v1", "v1beta1")
    )


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
