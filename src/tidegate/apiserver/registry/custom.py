"""From a CustomResourceDefinition to the kinds it makes the server serve."""

from __future__ import annotations

from functools import partial
from typing import Any

from tidegate.apis.kinds import PrinterColumn
from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.names import label_1035_problem, subdomain_problem
from tidegate.apiserver.registry.rules import Judge, check_rules, compiled, rules_in
from tidegate.apiserver.registry.schemarules import check_schema
from tidegate.apiserver.registry.spec import KindSpec, ScaleSpec, Schema
from tidegate.apiserver.registry.valuechecks import (
    apply_defaults,
    check_values,
    completed,
    has_defaults,
)
from tidegate.apiserver.values import ensure, mapping, objects, section, strings
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
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
    _validate_names(names, errors)
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
    before = section(old or {}, "spec")
    _validate_versions(objects(spec.get("versions")), objects(before.get("versions")), errors)
    if old is not None:
        _validate_stored(spec, old, errors)
        errors.immutable("spec.group", before.get("group"), group)
        errors.immutable("spec.scope", before.get("scope"), spec.get("scope"))
        for field in ("plural", "kind"):
            known = section(before, "names").get(field)
            errors.immutable(f"spec.names.{field}", known, names.get(field))


def warn_of_definition(definition: Object) -> list[str]:
    """What of a definition has no effect here."""
    return [
        f"{path}.rule: uses what is not offered here, and is not evaluated"
        for index, version in enumerate(objects(section(definition, "spec").get("versions")))
        for path, rule in rules_in(
            section(version, "schema", "openAPIV3Schema"),
            f"spec.versions[{index}].schema.openAPIV3Schema",
        )
        if not compiled(str(rule.get("rule"))).known
    ]


def _validate_names(names: Object, errors: FieldErrors) -> None:
    for field in ("plural", "kind"):
        if not names.get(field):
            errors.required(f"spec.names.{field}")
    for field in ("plural", "singular"):
        _validate_name(f"spec.names.{field}", str(names.get(field) or "x"), errors)
    for field in ("kind", "listKind"):
        value = str(names.get(field) or "x")
        problem = label_1035_problem(value.lower())
        if problem:
            detail = f"may have mixed case, but should otherwise match: {problem}"
            errors.invalid(f"spec.names.{field}", value, detail)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(strings(names.get(field))):
            _validate_name(f"spec.names.{field}[{index}]", value, errors)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        detail = "kind and listKind may not be the same"
        errors.invalid("spec.names.listKind", names["listKind"], detail)


def _validate_name(path: str, value: str, errors: FieldErrors) -> None:
    problem = label_1035_problem(value)
    if problem:
        errors.invalid(path, value, problem)


def _validate_versions(versions: list[Object], known: list[Object], errors: FieldErrors) -> None:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        errors.invalid("spec.versions", [v.get("name") for v in versions], detail)
    seen: set[str] = set()
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        name = str(version.get("name") or "")
        _validate_name(f"{path}.name", name, errors)
        if name in seen:
            errors.duplicate(f"{path}.name", name)
        seen.add(name)
        schema = section(version, "schema", "openAPIV3Schema")
        if not schema:
            errors.required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        elif not any(schema == section(v, "schema", "openAPIV3Schema") for v in known):
            # What is served already goes on being served.
            check_schema(schema, f"{path}.schema.openAPIV3Schema", errors)
            check_rules(schema, f"{path}.schema.openAPIV3Schema", errors)
        _validate_columns(objects(version.get("additionalPrinterColumns")), path, errors)
        _validate_scale(section(version, "subresources", "scale"), path, errors)
        for at, field in enumerate(objects(version.get("selectableFields"))):
            _validate_selectable(schema, field, f"{path}.selectableFields[{at}].jsonPath", errors)


def _validate_columns(columns: list[Object], path: str, errors: FieldErrors) -> None:
    for index, column in enumerate(columns):
        at = f"{path}.additionalPrinterColumns[{index}]"
        for name in ("name", "type", "jsonPath"):
            if not column.get(name):
                errors.required(f"{at}.{name}")
        if column.get("type") and column["type"] not in _COLUMN_TYPES:
            errors.not_supported(f"{at}.type", column["type"], _COLUMN_TYPES)


def _validate_scale(scale: Object, path: str, errors: FieldErrors) -> None:
    if not scale:
        return
    for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        at = f"{path}.subresources.scale.{name}"
        if not scale.get(name):
            errors.required(at)
        elif not str(scale[name]).startswith(root):
            errors.invalid(at, scale[name], f"should be a json path under {root[:-1]}")


def _validate_selectable(schema: Schema, field: Object, path: str, errors: FieldErrors) -> None:
    text = str(field.get("jsonPath") or "")
    for name in text.lstrip(".").split("."):
        schema = mapping(mapping(schema.get("properties")).get(name))
    if not schema:
        errors.invalid(path, text, "is an invalid path: does not refer to a valid field")
    elif schema.get("type") not in ("boolean", "integer", "string"):
        detail = "must point to a field of type string, boolean or integer"
        errors.invalid(path, text, detail)


def _validate_stored(spec: Object, old: Object, errors: FieldErrors) -> None:
    """A version in which objects may be stored must stay."""
    names = [version.get("name") for version in objects(spec.get("versions"))]
    for index, name in enumerate(strings(section(old, "status").get("storedVersions"))):
        if name not in names:
            detail = "must appear in spec.versions"
            errors.invalid(f"status.storedVersions[{index}]", name, detail)


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

    ruled = any(rules_in(schema, ""))

    def validate(obj: Object, old: Object | None, errors: FieldErrors) -> None:
        check_values(schema, obj, "", errors)
        if ruled and not errors:
            Judge(errors).judge(schema, obj, old, "")

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
        complete=partial(completed, schema) if has_defaults(schema) else None,
        deprecation=_deprecation(resource, version),
        printer_columns=_columns(version.get("additionalPrinterColumns")),
        selectable_fields=tuple(
            str(field.get("jsonPath") or "").lstrip(".")
            for field in objects(version.get("selectableFields"))
        ),
    )


def _deprecation(resource: Resource, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    default = f"{resource.api_version} {resource.kind} is deprecated"
    return str(version.get("deprecationWarning") or default)


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
