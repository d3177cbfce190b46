"""Library services, one module each. `base.py` is their protocol; `registry.py` names them."""

from __future__ import annotations

from codewords_mcp.errors import ServiceNotAvailable

PLANNED: frozenset[str] = frozenset(
    {
        "composio",
        "perplexity",
    }
)


def refuse_planned(service_id: str) -> None:
    """Raise ServiceNotAvailable for the name of a planned library service."""
    if service_id in PLANNED:
        raise ServiceNotAvailable(
            f"The library service {service_id!r} is not part of this version of codewords-mcp.",
            hint="The call was not made. Use a public API over HTTPS from the workflow, or a newer version that has the service.",
        )
