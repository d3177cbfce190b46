"""Library services as text for a model: all in a line each, or one with its inputs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import compact
from codewords_mcp.runtime.model.field_text import fields_text
from codewords_mcp.runtime.model.service import CredentialInfo, OperationInfo, ServiceInfo

_MAX_FIELDS = 30
_CALL = 'In a workflow: `await client.run("<service>", path="<path>", inputs={…})` of `AsyncCodewordsClient`.'


def services_page(services: Iterable[ServiceInfo]) -> str:
    """List services: purpose, paths, and what is missing."""
    lines = [_CALL, *(_line(service) for service in services)]
    lines.append(
        'Their inputs: read_practice(topic="services", service="…"). Other workflows are called the same way, by id.'
    )
    return "\n".join(lines)


def _line(service: ServiceInfo) -> str:
    paths = [operation.path.strip("/") for operation in service.operations]
    named = f" ({', '.join(paths)})" if any(paths) else ""
    missing = ", ".join(credential.name for credential in service.lacking)
    state = ""
    if service.unavailable:
        state = " Refused now: see it alone."
    elif missing:
        state = f" Lacks {missing}."
    return f"- {service.name}{named}: {service.summary}{state}"


def service_page(service: ServiceInfo) -> str:
    """Describe a service: each operation with its fields and their types, the fields of its answer, and an example."""
    lines = [f"{service.name}: {service.summary}"]
    if service.unavailable:
        lines.append(
            f"Every call is refused now: {service.unavailable} {worded(service.fix, service.remedy)}".rstrip()
        )
    for operation in service.operations:
        lines += _operation(service.name, operation)
    return "\n".join([*lines, *map(_credential, filter(_is_absent, service.credentials))])


def _operation(name: str, operation: OperationInfo) -> list[str]:
    path = operation.path.strip("/")
    example = ""
    if operation.example:
        inputs = compact(operation.example)
        at = f", path={json.dumps(path)}" if path else ""
        example = f'\n  client.run("{name}"{at}, inputs={inputs})'
    answers = ", ".join(list(operation.output.get("properties", {}))[:_MAX_FIELDS])
    return [
        f"- path={json.dumps(path)} {operation.summary} ({operation.effect}): {fields_text(operation.input)}"
        + (f" → {{{answers}}}" if answers else "")
        + example
    ]


def _is_absent(credential: CredentialInfo) -> bool:
    return not credential.present


def _credential(credential: CredentialInfo) -> str:
    if credential.without:
        need = f"without it: {credential.without}"
    else:
        need = "needed"
    return f"- {credential.name} is not set ({need}). {credential.how}"
