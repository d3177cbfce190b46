"""Translate commands in messages to tools, until all of them are remedies: a model often has no terminal."""

from __future__ import annotations

import re

_REPLACEMENTS = (
    (r", or `codewords integrations \w+(?: \w+)?`,?", ""),
    (r"`service_id`", "`workflow_id`"),
    (r"`codewords (?:runs|show(?: [\w-]+)?)`", "get_workflow"),
    (r"`codewords secrets delete ([A-Z_][A-Z0-9_]*)`", r'delete_secret(name="\1")'),
    (r"`?codewords secrets set ([A-Z_][A-Z0-9_]*)(?:`|$)", r'set_secret(name="\1")'),
)
_TOOLS = tuple((re.compile(command), tool) for command, tool in _REPLACEMENTS)


def as_tools(text: str) -> str:
    """Replace commands in a text by tools; commands with options, which no tool has, stay."""
    for command, tool in _TOOLS:
        text = command.sub(tool, text)
    return text
