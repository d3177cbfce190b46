"""Format the availability of the runtime for tools."""

from __future__ import annotations

from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.runtime.model.availability import Availability


def availability_text(availability: Availability | None) -> str | None:
    """Return the sentence and what a person can do about it."""
    if availability is None:
        return None
    fix = worded(availability.fix, availability.remedy)
    return f"{availability.sentence} {fix}".strip()
