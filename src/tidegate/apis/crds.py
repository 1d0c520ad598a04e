"""The definitions that teach a real cluster our kinds."""

from __future__ import annotations

from tidegate.apis.kinds import KindDefinition, PrinterColumn
from tidegate.apis.registry import KINDS
from tidegate.kube.objects import Object
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS


def crds() -> list[Object]:
    """One CustomResourceDefinition per kind, ready to apply."""
    return [_definition(kind) for kind in KINDS]


def _definition(kind: KindDefinition) -> Object:
    resource = kind.resource
    version: Object = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": kind.schema()},
    }
    if kind.status_subresource:
        version["subresources"] = {"status": {}}
    if kind.printer_columns:
        version["additionalPrinterColumns"] = [_column(item) for item in kind.printer_columns]
    names: Object = {
        "kind": resource.kind,
        "listKind": resource.list_kind,
        "plural": resource.plural,
        "singular": resource.singular,
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITIONS.api_version,
        "kind": CUSTOM_RESOURCE_DEFINITIONS.kind,
        "metadata": {"name": resource.qualified},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _column(column: PrinterColumn) -> Object:
    rendered: Object = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.json_path,
    }
    if column.priority:
        rendered["priority"] = column.priority
    if column.description:
        rendered["description"] = column.description
    return rendered
