"""Format the availability of the runtime for tools."""

from __future__ import annotations

from codewords_mcp.runtime.model.availability import Availability


def availability_text(availability: Availability | None) -> str | None:
    """Return the sentence and what a person can do about it."""
    if availability is None:
        return None
    return f"{availability.sentence} {availability.fix}".strip()
