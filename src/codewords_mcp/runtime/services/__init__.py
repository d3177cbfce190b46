"""Library services, one each behind `base.Service`, and `simple/`, which asks models. Those to come are known by name."""

from __future__ import annotations

from codewords_mcp.errors import ServiceNotAvailable

PLANNED: frozenset[str] = frozenset(
    {
        "chrome_extension",
        "composio",
        "firecrawl",
        "github",
        "hunter",
        "perplexity",
        "pipedream",
        "reddit",
        "redis_coordinator",
        "searchapi",
        "send_email",
        "slack_trigger",
        "user_login",
        "web_automation_agent",
        "webpage_to_markdown",
        "whatsapp_trigger",
    }
)
MODEL_PROVIDERS = frozenset({"anthropic", "gemini", "openai"})


def refuse_planned(service_id: str) -> None:
    """Raise ServiceNotAvailable for a library service's name."""
    if service_id in MODEL_PROVIDERS:
        raise ServiceNotAvailable(
            f"The model provider {service_id!r} answers calls over HTTP that wait for it, and no others.",
            hint=f"POST /run/{service_id}/ with model and prompt; not as a websocket, and not in the background.",
        )
    if service_id in PLANNED:
        raise ServiceNotAvailable(
            f"The library service {service_id!r} is not part of this version of codewords-mcp.",
            hint="The call was not made. Use a public API over HTTPS from the workflow, or a newer version that has the service.",
        )
