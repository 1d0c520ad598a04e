"""The OpenAPI document, made from the endpoints and their types, and `/docs`, a page of it.

The page is rendered here, since a viewer from a CDN would not come up without the internet.
"""

from __future__ import annotations

import html
import json
from typing import Any

from pydantic.json_schema import models_json_schema

from .web import Endpoint

REF = "#/components/schemas/{model}"


def document(endpoints: list[Endpoint], *, version: str) -> dict[str, Any]:
    models = {m for e in endpoints for m in (e.takes, item_of(e)) if m is not None}
    ordered = sorted(models, key=lambda m: m.__name__)
    _, schemas = models_json_schema([(m, "validation") for m in ordered], ref_template=REF)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stable Diffusion service", "version": version},
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {})},
    }


def item_of(endpoint: Endpoint) -> Any:
    return endpoint.gives[0] if isinstance(endpoint.gives, list) else endpoint.gives


def operation(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "responses": {"200": {"description": "OK"}},
    }
    if endpoint.gives:
        schema: dict[str, Any] = {"$ref": REF.format(model=item_of(endpoint).__name__)}
        if isinstance(endpoint.gives, list):
            schema = {"type": "array", "items": schema}
        found["responses"]["200"]["content"] = {"application/json": {"schema": schema}}
    if endpoint.takes:
        schema = {"$ref": REF.format(model=endpoint.takes.__name__)}
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
        found["responses"]["422"] = {"description": "A field is wrong; `detail[].loc` names it"}
    return found


def docs_page(endpoints: list[Endpoint], spec: dict[str, Any]) -> str:
    """The calls with their fields, as one plain page."""
    parts = [section(endpoint, spec) for endpoint in endpoints]
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(spec["info"]["title"])}: API</title>
<link rel="stylesheet" href="static/style.css">
<body><main class="docs"><h1>{html.escape(spec["info"]["title"])}: API</h1>
<p>Compatible with the AUTOMATIC1111 web UI's API. The same as
<a href="openapi.json">OpenAPI document</a>. <a href="./">Back to the page</a></p>
{"".join(parts)}</main></body></html>"""


def section(endpoint: Endpoint, spec: dict[str, Any]) -> str:
    out = [
        f"<section><h2><code>{endpoint.method} {html.escape(endpoint.path)}</code></h2>",
        f"<p>{html.escape(endpoint.summary)}</p>",
    ]
    for label, model in (("Body", endpoint.takes), ("Answer", item_of(endpoint))):
        if model is not None:
            out.append(fields_table(label, spec["components"]["schemas"][model.__name__]))
    return "".join([*out, "</section>"])


def fields_table(label: str, schema: dict[str, Any]) -> str:
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = (
            "required" if name in schema.get("required", []) else json.dumps(field.get("default"))
        )
        limits = ", ".join(
            f"{words} {field[key]}"
            for key, words in (
                ("minimum", "from"), ("maximum", "to"), ("multipleOf", "multiple of"),
                ("maxLength", "length to"),
            )
            if key in field
        )  # fmt: skip
        kind = field.get("type") or "/".join(
            o.get("type", "object") for o in field.get("anyOf", [{}])
        )
        note = "; ".join(filter(None, [limits, field.get("description", "")]))
        rows.append(
            f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(kind)}</td>"
            f"<td>{html.escape(default)}</td><td>{html.escape(note)}</td></tr>"
        )
    head = f"<tr><th>{label}</th><th>type</th><th>default</th><th></th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
