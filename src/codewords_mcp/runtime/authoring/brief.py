"""Help for writing a workflow: the nearest template, suitable library services, and the next call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from codewords_mcp.runtime.authoring.model_request import rules
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.template_choice import matching_templates, nearest_template
from codewords_mcp.runtime.model.authoring import Brief, Template
from codewords_mcp.runtime.model.field_text import fields_text
from codewords_mcp.runtime.model.service import ServiceInfo

_MAX_SCHEMA = 700
MAX_TEMPLATES = 3
"""Templates that a brief names."""


def describe_service(service: ServiceInfo) -> str:
    """A few lines on a service: its purpose, its paths with inputs, and its missing secrets."""
    missing = [credential.name for credential in service.lacking]
    lines = [
        f"{service.name}: {service.summary}" + (f" Needs the secret {', '.join(missing)}." if missing else "")
    ]
    lines += [
        f"  path={operation.path.strip('/')!r} {operation.summary}: {_fields(operation.input)}"
        for operation in service.operations[:4]
    ]
    return "\n".join(lines)


def _fields(schema: dict[str, Any]) -> str:
    text = fields_text(schema)
    if len(text) <= _MAX_SCHEMA:
        return text
    return text[:_MAX_SCHEMA] + "…"


def brief(templates: Sequence[Template], services: Iterable[ServiceInfo], description: str) -> Brief:
    """All that an assistant needs to write the workflow itself, with the next call."""
    template = nearest_template(templates, description)
    others = [other.id for other in matching_templates(templates, description)[:MAX_TEMPLATES]]
    return Brief(
        rules=rules(),
        template_id=template.id,
        template_code=template.code,
        other_templates=[other for other in others if other != template.id],
        services=[describe_service(service) for service in choose_services(services, description)],
        next='edit_workflow(code="<the whole file>")',
    )
