"""`port_script`: make a workflow of a script, a crontab line, or an export of n8n or Zapier."""

from __future__ import annotations

import re
from typing import Annotated, Any, cast

from pydantic import Field

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.text import fence

TITLE = "Port a script"

_MAX_SOURCE = 40_000
# Five fields of digits, `*`, `/`, `,` and `-`, or an @name such as @daily, before a command.
_CRON = re.compile(r"^[ \t]*(@\w+|(?:[\d*/,\-]+[ \t]+){4}[\d*/,\-]+)[ \t]+\S", re.MULTILINE)
_ADVICE = {
    "n8n": "Each node becomes a function, each connection a call; a trigger node becomes the input of POST / (a schedule "
    "trigger a schedule), credentials become secrets, expressions in {{…}} become Python.",
    "zapier": "The trigger becomes the input of POST /, each further step a function in its order; filters become "
    "`if`, paths become branches, connected accounts become secrets.",
    "cron": "The command's work becomes the handler of POST /; its times become add_trigger with the same cron "
    "expression and the machine's time zone. Files on that machine become inputs.",
    "script": "Arguments and constants at the top become the fields of the input model, what it prints or writes becomes "
    "the output model, `requests` becomes `httpx.AsyncClient`, keys become secrets.",
}


@protocol_errors
async def port_script(
    source: Annotated[str, Field(description="The script, crontab line, or the export as JSON")],
    ctx: ToolContext,
) -> str:
    """Make a workflow of a script, a cron job, or an n8n or Zapier export."""
    if not source.strip():
        raise InvalidInput("There is nothing to port.", hint="Paste the script or the exported JSON.")

    kind, facts = _kind(source)
    runtime, caller = runtime_and_caller(ctx)
    brief = await runtime.authoring.brief(caller, re.sub(r"[^A-Za-z ]+", " ", source)[:4_000] or "script")
    services = "\n".join(brief.services) or "(none)"
    then = (
        "Send the file once with edit_workflow(code=…), repair what it reports, deploy_workflow(draft_id=…), run it with an "
        "input of the old one, and compare. Say what could not be carried over."
    )

    return "\n\n".join(
        [
            f"Make a CodeWords workflow of this {kind} source. {_ADVICE[kind]}",
            *([f"It has: {facts}"] if facts else []),
            fence("Source", source, _MAX_SOURCE),
            f"Rules:\n\n{brief.rules}",
            f"Services that may take the place of its steps:\n{services}",
            then,
        ]
    )


def _kind(source: str) -> tuple[str, str]:
    """Return (kind, its nodes or steps in a line)."""
    try:
        export: Any = parse(source)
    except ValueError:
        export = None

    if isinstance(export, dict):
        record = cast("dict[str, Any]", export)
        for kind, key, name in (
            ("n8n", "nodes", "type"),
            ("zapier", "zaps", "title"),
            ("zapier", "steps", "action"),
        ):
            if isinstance(record.get(key), list):
                listed = cast("list[Any]", record[key])
                nodes = [cast("dict[str, Any]", node) for node in listed if isinstance(node, dict)]
                names = [str(node.get(name, "?")) for node in nodes]
                # Names from an export are somebody's text and stand outside the fence, hence
                # only words.
                return kind, re.sub(r"[^\w ,.\-]", "", ", ".join(names))[:1_000]

    # A Python file may contain a line that looks like cron in a comment or string.
    return ("cron" if _CRON.search(source) and "import " not in source else "script"), ""


PROMPT = port_script
