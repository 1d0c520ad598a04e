"""Discovery: which groups, versions, kinds and verbs are served, in the old and the new form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec

KUBERNETES_MINOR = "32"
KUBERNETES_VERSION = f"v1.{KUBERNETES_MINOR}.4"

AGGREGATED_GROUP = "apidiscovery.k8s.io"
AGGREGATED_VERSIONS = ("v2", "v2beta1")

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGE = {None: 2, "beta": 1, "alpha": 0}
_OBJECT_VERBS = ("get", "patch", "update")

# Subresources whose kind lives in another group than their parent.
_FOREIGN_KINDS: Mapping[str, tuple[str, str]] = {
    "Scale": ("autoscaling", "v1"),
    "TokenRequest": ("authentication.k8s.io", "v1"),
    "Eviction": ("policy", "v1"),
    "Binding": ("", "v1"),
}

Subresource = tuple[str, str, tuple[str, ...]]


class Discovery:
    """Makes the documents from the registry, each once per state of it.

    Args:
        registry: the kinds served.
        address: `host:port` shown to clients that ask where the API is.
    """

    def __init__(self, registry: Registry, address: str) -> None:
        self._registry = registry
        self._address = address
        self._documents: dict[str, bytes] = {}
        registry.subscribe(self._documents.clear)

    def document(self, path: str, *, aggregated: str = "") -> bytes | None:
        """The discovery document at `path`, None where there is none.

        Args:
            aggregated: the version of the aggregated form, empty for the plain form.
        """
        key = f"{path}?{aggregated}"
        known = self._documents.get(key)
        if known is None:
            value = self._aggregated(path, aggregated) if aggregated else self._plain(path)
            if value is None:
                return None
            known = self._documents[key] = orjson.dumps(value)
        return known

    def _plain(self, path: str) -> dict[str, Any] | None:
        parts = path.strip("/").split("/")
        match parts:
            case ["api"]:
                return self._api_versions()
            case ["apis"]:
                groups = [_group(name, versions) for name, versions in self._groups().items()]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ["apis", group]:
                versions = self._groups().get(group)
                if versions is None:
                    return None
                return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group, version]:
                return self._resources(group, version)
            case _:
                return None

    def _aggregated(self, path: str, version: str) -> dict[str, Any] | None:
        if path.strip("/") == "api":
            names = [""]
        elif path.strip("/") == "apis":
            names = list(self._groups())
        else:
            return None
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"{AGGREGATED_GROUP}/{version}",
            "metadata": {},
            "items": [self._aggregated_group(name) for name in names],
        }

    def _groups(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for spec in self._registry.specs():
            group, version = spec.resource.group, spec.resource.version
            if group and version not in groups.setdefault(group, []):
                groups[group].append(version)
        return {name: sort_versions(versions) for name, versions in groups.items()}

    def _specs(self, group: str, version: str) -> list[KindSpec]:
        return [
            spec
            for spec in self._registry.specs()
            if (spec.resource.group, spec.resource.version) == (group, version)
        ]

    def _api_versions(self) -> dict[str, Any]:
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": self._address}
            ],
        }

    def _resources(self, group: str, version: str) -> dict[str, Any] | None:
        specs = self._specs(group, version)
        if not specs:
            return None
        resources: list[dict[str, Any]] = []
        for spec in specs:
            resources.append(_resource(spec))
            resources.extend(_subresource(spec, sub) for sub in subresources_of(spec))
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": resources,
        }

    def _aggregated_group(self, name: str) -> dict[str, Any]:
        versions = self._groups()[name] if name else ["v1"]
        return {
            "metadata": {"name": name or None, "creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_aggregated_resource(s) for s in self._specs(name, version)],
                }
                for version in versions
            ],
        }


@lru_cache(maxsize=1)
def version_document() -> dict[str, Any]:
    """What `/version` answers: the Kubernetes version whose behaviour is served, and ours."""
    import platform
    from importlib.metadata import version

    own = version("tidegate")
    return {
        "major": "1",
        "minor": KUBERNETES_MINOR,
        "gitVersion": f"{KUBERNETES_VERSION}+tidegate{own}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{_machine(platform.machine())}",
    }


def aggregated_type(version: str) -> str:
    """The media type of the aggregated form."""
    return f"application/json;g={AGGREGATED_GROUP};v={version};as=APIGroupDiscoveryList"


def etag(document: bytes) -> str:
    """The entity tag of a document, without quotes."""
    return hashlib.sha256(document).hexdigest().upper()


def sort_versions(versions: Iterable[str]) -> list[str]:
    """In Kubernetes' order of preference: stable before beta before alpha, newer first."""

    def rank(version: str) -> tuple[int, int, int]:
        match = _VERSION.fullmatch(version)
        if match is None:
            return -1, 0, 0
        return _STAGE[match[2]], int(match[1]), int(match[3] or 0)

    return sorted(versions, key=rank, reverse=True)


def subresources_of(spec: KindSpec) -> list[Subresource]:
    """All subresources of a kind as (name, kind, verbs)."""
    found: dict[str, Subresource] = {}
    if spec.status_subresource:
        found["status"] = ("status", spec.resource.kind, _OBJECT_VERBS)
    if spec.scale:
        found["scale"] = ("scale", "Scale", _OBJECT_VERBS)
    for subresource in spec.subresources:
        found[subresource[0]] = subresource
    return sorted(found.values())


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resource(spec: KindSpec) -> dict[str, Any]:
    resource = spec.resource
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(spec.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = resource.short_names
    if resource.categories:
        entry["categories"] = resource.categories
    if "list" in spec.verbs:
        entry["storageVersionHash"] = _storage_hash(spec)
    return entry


def _subresource(spec: KindSpec, subresource: Subresource) -> dict[str, Any]:
    name, kind, verbs = subresource
    entry: dict[str, Any] = {
        "name": f"{spec.resource.plural}/{name}",
        "singularName": "",
        "namespaced": spec.resource.namespaced,
        "kind": kind,
        "verbs": sorted(verbs),
    }
    if kind in _FOREIGN_KINDS:
        entry["group"], entry["version"] = _FOREIGN_KINDS[kind]
    return entry


def _aggregated_resource(spec: KindSpec) -> dict[str, Any]:
    resource = spec.resource
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(spec.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = resource.short_names
    if resource.categories:
        entry["categories"] = resource.categories
    subresources = [_aggregated_subresource(spec, sub) for sub in subresources_of(spec)]
    if subresources:
        entry["subresources"] = subresources
    return entry


def _aggregated_subresource(spec: KindSpec, subresource: Subresource) -> dict[str, Any]:
    name, kind, verbs = subresource
    own = (spec.resource.group, spec.resource.version)
    group, version = _FOREIGN_KINDS.get(kind, own)
    return {
        "subresource": name,
        "responseKind": _kind(group, version, kind),
        "verbs": sorted(verbs),
    }


def _kind(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}


def _storage_hash(spec: KindSpec) -> str:
    import base64

    digest = hashlib.sha256(f"{spec.bucket}/{spec.resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _machine(name: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)
