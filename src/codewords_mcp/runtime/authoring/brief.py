"""Help for writing a workflow: the nearest template, suitable library services, and the next call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from codewords_mcp.runtime.authoring.model_request import rules
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.template_choice import nearest_template
from codewords_mcp.runtime.model.authoring import Brief, Template
from codewords_mcp.runtime.model.service import ServiceInfo

_MAX_SCHEMA = 700


def describe_service(service: ServiceInfo) -> str:
    """A few lines on a service: its purpose, its paths with inputs, and its missing secrets."""
    missing = [credential.name for credential in service.lacking]
    lines = [
        f"{service.name}: {service.summary}" + (f" Needs the secret {', '.join(missing)}." if missing else "")
    ]
    lines += [
        f"  path={operation.path.strip('/')!r} {operation.summary}: {_schema(operation.input)}"
        for operation in service.operations[:4]
    ]
    return "\n".join(lines)


def _schema(schema: dict[str, Any]) -> str:
    """The input in short: names with types, if they have one; `?` marks optional ones."""
    required = schema.get("required", [])
    fields = [
        name + ("" if name in required else "?") + (f": {kind}" if (kind := _kind(part)) else "")
        for name, part in schema.get("properties", {}).items()
    ]
    text = "{" + ", ".join(fields) + "}"
    if len(text) <= _MAX_SCHEMA:
        return text
    return text[:_MAX_SCHEMA] + "…"


def _kind(part: dict[str, Any]) -> str:
    """`string`, `"asc" | "desc"`, or "" if several types are possible."""
    variants = [variant for variant in part.get("anyOf", [part]) if variant.get("type") != "null"]
    if len(variants) != 1:
        return ""
    variant = variants[0]
    if "enum" in variant:
        return " | ".join(map(json.dumps, variant["enum"]))
    return str(variant.get("type", ""))


def brief(templates: Sequence[Template], services: Iterable[ServiceInfo], description: str) -> Brief:
    """All that an assistant needs to write the workflow itself, with the next call."""
    template = nearest_template(templates, description)
    return Brief(
        rules=rules(),
        template_id=template.id,
        template_code=template.code,
        services=[describe_service(service) for service in choose_services(services, description)],
        next='edit_workflow(code="<the whole file>")',
    )
