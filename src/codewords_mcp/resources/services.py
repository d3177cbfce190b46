"""`services://all`: the library services; `services://{name}`: a service with all its fields; `services://models`: model
providers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import compact
from codewords_mcp.runtime.model.provider_info import ProviderInfo
from codewords_mcp.runtime.model.service import OperationInfo, ServiceInfo

URI, ALL_URI = "services://{name}", "services://all"
TITLE = "Library services"
MIME_TYPE = "text/markdown"
_MAX_FIELDS = 30


@protocol_errors
async def read(name: str, ctx: ToolContext) -> str:
    """Describe library services: `all` in short, or one with its schemas and credentials; and model providers: `models`."""
    runtime, caller = runtime_and_caller(ctx)
    if name == "all":
        return _page(await runtime.services.list(caller))
    if name == "models":
        return _models(await runtime.models.providers(caller))
    service = await runtime.services.get(caller, name)
    lines = [*_brief(service), ""]
    for operation in service.operations:
        lines += [
            f"## {service.name} {operation.path} ({operation.effect})",
            "",
            f"input: {compact(operation.input)}",
        ]
        lines += [f"output: {compact(operation.output)}", ""]
    return "\n".join(lines)


def _page(services: list[ServiceInfo]) -> str:
    head = [
        "# Library services",
        "",
        '`await client.run("<service>", path="<path>", inputs={…})` in a workflow; `services://<service>` has all fields.',
        "",
    ]
    return "\n".join([*head, *(line for service in services for line in _brief(service))])


def _models(providers: list[ProviderInfo]) -> str:
    head = [
        "# Model providers",
        "",
        "OpenAI's SDK asks one by `provider/model` as the model, or by its path below CODEWORDS_RUNTIME_URI as the base URL.",
        "",
    ]
    return "\n".join(
        [
            *head,
            *(
                f"- **{provider.name}** ({provider.title}): `{provider.mount}`"
                + ("" if provider.ready else f", needs the secret {provider.key}")
                for provider in providers
            ),
        ]
    )


def _brief(service: ServiceInfo) -> Iterator[str]:
    if service.unavailable:
        reason = f"{service.unavailable} {worded(service.fix, service.remedy)}".rstrip()
        state = f" (every call is refused now: {reason})"
    else:
        state = ""

    yield f"- **{service.name}**{state}: {service.summary}"
    for operation in service.operations:
        yield f"  - `{operation.path}` {operation.summary} ({operation.effect}): {_signature(operation)}"
    for credential in service.credentials:
        if not credential.present:
            if credential.without:
                need = f"without it: {credential.without}"
            else:
                need = "needed"

            yield f"  - {credential.name} is not set ({need}). {credential.how}"


def _signature(operation: OperationInfo) -> str:
    required: list[str] = operation.input.get("required", [])
    properties: dict[str, Any] = operation.input.get("properties", {})
    names = [name if name in required else f"{name}?" for name in properties]
    return "{" + ", ".join(names[:_MAX_FIELDS]) + "}"
