"""`build_workflow`: from a sentence to a deployed workflow that was run once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

TITLE = "Build a workflow"

_TEXT = """\
Build a CodeWords workflow that does this:

{description}

A workflow is one Python file: a PEP 723 header, then a FastAPI app that serves on PORT.

# /// script
# requires-python = "==3.11.*"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2", "codewords-client==0.2.4"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"]
# ///

Rules: pydantic models for input and output, one POST route "/" unless more are needed, every dependency pinned, \
`if __name__ == "__main__": uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))`, progress logged with \
`print("STEPLOG START <step>")`. Keys and tokens are secrets: list their names under env_vars, and use set_secret so \
that the user types the values on a page; never put them into the code or the chat.

Steps:
1. list_templates, and read the nearest one's code.
2. Write the file, then validate_workflow. Fix each failing check by its line and fix; repeat until all pass.
3. list_secrets; call set_secret for each name that is missing.
4. deploy_workflow with a short name and description.
5. run_workflow with a realistic input, and compare the result with what was asked. If it failed, read get_run's log, \
fix the code, deploy again.
6. Tell the user the URL, what it takes and returns, and the curl line.
"""


async def build_workflow(
    description: Annotated[str, Field(description="What the workflow should do")],
) -> str:
    """Write, validate, deploy and try a workflow."""
    return _TEXT.format(description=description.strip())


PROMPT = build_workflow
