"""Links in the results of tools that show a run: its page in the console, its log, and its file. Hosts show them to a person."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from mcp_types import CallToolResult, ResourceLink

from codewords_mcp.mcp_server.context import RequestContext

_FIRST_WITH_LINKS: Final = "2025-06-18"
"""The revision of the protocol that has `resource_link`. Revisions are dates, and compare as text."""


def with_run_links(result: CallToolResult, base_url: str, ctx: RequestContext) -> CallToolResult:
    """The result with links to its run, for clients that know links. A result without a run stays as it is."""
    data: dict[str, Any] = result.structured_content or {}
    run_id = data.get("run_id")
    # Clients of earlier versions reject a kind of content that they do not know.
    if result.is_error or not isinstance(run_id, str) or str(ctx.protocol_version) < _FIRST_WITH_LINKS:
        return result

    links = [
        ResourceLink(
            type="resource_link",
            name=f"{run_id} in the console",
            uri=f"{base_url}/console/runs/{quote(run_id, safe='')}",
            mime_type="text/html",
        ),
        ResourceLink(
            type="resource_link", name=f"log of {run_id}", uri=f"run://{run_id}/logs", mime_type="text/plain"
        ),
    ]
    file: dict[str, Any] = data.get("file") or {}
    if url := file.get("url"):
        links.append(
            ResourceLink(
                type="resource_link",
                name=f"file of {run_id}",
                uri=url,
                mime_type=file["content_type"],
                size=file["size"],
            )
        )

    return result.model_copy(update={"content": [*result.content, *links]})
