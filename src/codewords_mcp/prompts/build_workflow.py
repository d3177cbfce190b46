"""`build_workflow`: from a sentence to a deployed workflow that was run once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.door.skills import skill

TITLE = "Build a workflow"


async def build_workflow(
    description: Annotated[str, Field(description="What the workflow should do")],
) -> str:
    """Write, validate, deploy and try a workflow."""
    return f"Build a CodeWords workflow that does this:\n\n{description.strip()}\n\n{skill('build-workflow').body}\n"


PROMPT = build_workflow
