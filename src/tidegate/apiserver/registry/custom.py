"""From a CustomResourceDefinition to the kinds it makes the server serve."""

from __future__ import annotations

import re
from typing import Any

from tidegate.apis.kinds import PrinterColumn
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.names import label_1035_problem, subdomain_problem
from tidegate.apiserver.registry.spec import KindSpec, ScaleSpec, Schema
from tidegate.apiserver.registry.valuechecks import apply_defaults, check_values
from tidegate.apiserver.values import ensure, mapping, objects, section, strings
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_OPEN: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def specs_of(definition: Object) -> list[KindSpec]:
    """The kinds of all served versions."""
    spec = section(definition, "spec")
    versions = objects(spec.get("versions"))
    return [_spec(spec, version) for version in versions if version.get("served")]


def default_definition(definition: Object) -> None:
    """Fill in a definition's defaults, in place."""
    spec = ensure(definition, "spec")
    names = ensure(spec, "names")
    if names.get("kind"):
        names.setdefault("singular", str(names["kind"]).lower())
        names.setdefault("listKind", f"{names['kind']}List")
    ensure(spec, "conversion").setdefault("strategy", "None")
    metadata = definition["metadata"]
    finalizers = strings(metadata.get("finalizers"))
    if not metadata.get("deletionTimestamp") and CLEANUP not in finalizers:
        metadata["finalizers"] = [*finalizers, CLEANUP]


def validate_definition(definition: Object, old: Object | None, errors: FieldErrors) -> None:
    """Names, versions and schemas of a definition."""
    spec = section(definition, "spec")
    group, names = str(spec.get("group") or ""), section(spec, "names")
    problem = subdomain_problem(group) if group else None
    if not group:
        errors.required("spec.group")
    elif problem or "." not in group:
        errors.invalid("spec.group", group, problem or "should be a domain with at least one dot")
    for field in ("plural", "kind"):
        if not names.get(field):
            errors.required(f"spec.names.{field}")
    for field in ("plural", "singular"):
        problem = label_1035_problem(str(names.get(field) or "x"))
        if problem:
            errors.invalid(f"spec.names.{field}", names[field], problem)
    wanted = f"{names.get('plural')}.{group}"
    if definition["metadata"].get("name") != wanted:
        name = definition["metadata"].get("name")
        errors.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        errors.not_supported("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    if section(spec, "conversion").get("strategy") != "None":
        errors.not_supported(
            "spec.conversion.strategy", section(spec, "conversion").get("strategy"), ("None",)
        )
    _validate_versions(objects(spec.get("versions")), errors)
    if old is not None:
        before = section(old, "spec")
        errors.immutable("spec.group", before.get("group"), group)
        errors.immutable("spec.scope", before.get("scope"), spec.get("scope"))
        for field in ("plural", "kind"):
            known = section(before, "names").get(field)
            errors.immutable(f"spec.names.{field}", known, names.get(field))


def _validate_versions(versions: list[Object], errors: FieldErrors) -> None:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        errors.invalid("spec.versions", [v.get("name") for v in versions], detail)
    seen: set[str] = set()
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        name = str(version.get("name") or "")
        if label_1035_problem(name):
            errors.invalid(f"{path}.name", name, label_1035_problem(name) or "")
        if name in seen:
            errors.duplicate(f"{path}.name", name)
        seen.add(name)
        schema = section(version, "schema", "openAPIV3Schema")
        if not schema:
            errors.required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        else:
            _validate_schema(schema, f"{path}.schema.openAPIV3Schema", errors, root=True)


def _validate_schema(schema: Schema, path: str, errors: FieldErrors, *, root: bool = False) -> None:
    kind = schema.get("type")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-int-or-string"
    )
    if root and kind != "object":
        errors.invalid(f"{path}.type", kind or "", "must be object at the root")
    elif not kind and not free:
        errors.required(f"{path}.type", "must not be empty for specified object fields")
    if "pattern" in schema:
        try:
            re.compile(str(schema["pattern"]))
        except re.error as error:
            errors.invalid(f"{path}.pattern", schema["pattern"], f"must be a regex: {error}")
    for name, field in mapping(schema.get("properties")).items():
        _validate_schema(mapping(field), f"{path}.properties[{name}]", errors)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            _validate_schema(mapping(schema[name]), f"{path}.{name}", errors)


def _spec(spec: Object, version: Object) -> KindSpec:
    names = section(spec, "names")
    group, name = str(spec["group"]), str(version["name"])
    resource = Resource(
        group,
        name,
        str(names["kind"]),
        str(names["plural"]),
        spec.get("scope") == "Namespaced",
        tuple(strings(names.get("shortNames"))),
        tuple(strings(names.get("categories"))),
    )
    schema: Schema = section(version, "schema", "openAPIV3Schema") or _OPEN

    def default(obj: Object) -> None:
        apply_defaults(schema, obj)

    def validate(obj: Object, _: Object | None, errors: FieldErrors) -> None:
        check_values(schema, obj, "", errors)

    subresources = section(version, "subresources")
    scale = section(subresources, "scale")
    return KindSpec(
        resource=resource,
        schema=lambda: schema,
        schema_name=f"{'.'.join(reversed(group.split('.')))}.{name}.{resource.kind}",
        default=default,
        validate=validate,
        status_subresource="status" in subresources,
        generation=True,
        scale=_scale(scale) if scale else None,
        custom=True,
        printer_columns=_columns(version.get("additionalPrinterColumns")),
        selectable_fields=tuple(
            str(field.get("jsonPath") or "").lstrip(".")
            for field in objects(version.get("selectableFields"))
        ),
    )


def _scale(scale: Object) -> ScaleSpec:
    return ScaleSpec(
        str(scale["specReplicasPath"]).lstrip("."),
        str(scale["statusReplicasPath"]).lstrip("."),
        str(scale.get("labelSelectorPath") or "").lstrip("."),
    )


def _columns(value: Any) -> tuple[PrinterColumn, ...]:
    columns = objects(value) or [
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    ]
    return tuple(
        PrinterColumn(
            str(column["name"]),
            str(column["type"]),
            str(column["jsonPath"]),
            int(column.get("priority") or 0),
            str(column.get("description") or ""),
        )
        for column in columns
    )
