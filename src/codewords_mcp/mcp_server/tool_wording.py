"""What messages say of commands, said of tools: a model has those, and often no terminal."""

from __future__ import annotations

import re

_SAID = (
    (r", or `codewords integrations \w+(?: \w+)?`,?", ""),
    (r"`codewords (?:templates|drafts)` and (?=list_)", ""),
    (r"`service_id`", "`workflow_id`"),
    (r"`codewords list`", "list_workflows"),
    (r"`codewords (?:runs|show(?: [\w-]+)?)`", "get_workflow"),
    (r"`codewords schedules list`", "list_schedules"),
    (r"`codewords secrets list`", "list_secrets"),
    (r"`codewords secrets delete ([A-Z_][A-Z0-9_]*)`", r'delete_secret(name="\1")'),
    (r"`?codewords secrets set ([A-Z_][A-Z0-9_]*)(?:`|$)", r'set_secret(name="\1")'),
)
_TOOLS = tuple((re.compile(command), tool) for command, tool in _SAID)


def as_tools(text: str) -> str:
    """The same advice with the names of tools; commands with options, which no tool has, stay."""
    for command, tool in _TOOLS:
        text = command.sub(tool, text)
    return text
