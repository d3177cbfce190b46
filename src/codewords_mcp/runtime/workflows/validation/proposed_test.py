"""A first test of code that has no recorded run yet: what the answer to its example has, for its header to declare.

Of the answer's schema where the code declares one, else of the answer that it gave when it was tried.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Final

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.model.answer_fields import as_toml, propose_fields
from codewords_mcp.runtime.model.authoring import Edit, ProposedTest
from codewords_mcp.runtime.workflows.header import CLOSING, read_header
from codewords_mcp.runtime.workflows.openapi import read_answer
from codewords_mcp.runtime.workflows.script import Script

if TYPE_CHECKING:
    from codewords_mcp.runtime.workflows.validation.boot import Boot

MAX_EXAMPLE: Final = 600
"""Characters of an example that is put into a header."""
_TABLE: Final = "# [tool.codewords]"


def propose_test(script: Script, tried: Boot) -> ProposedTest | None:
    """The test; None for code that declares one, or of whose answer nothing is known."""
    example, response = tried.example, tried.response
    if example is None or response is None or tried.openapi is None or "expect" in script.tool:
        return None
    # An answer of an error, or of a program that found no network, has other fields.
    answer = response.answer
    expect = propose_fields(read_answer(tried.openapi, example.path), answer)
    if not expect or response.status in {405, 422}:
        return None

    lines = [f"# expect = {json.dumps(expect)}"]
    if example.source != "header":
        try:
            lines.insert(0, f"# example = {_inline(example.value)}")
        except ValueError:
            return None
    edit = _edit(script, lines)
    if edit is None:
        return None
    return ProposedTest(example=example.value, expect=expect, edit=edit)


def _inline(example: JsonValue) -> str:
    """The example as a header holds it. Raises ValueError for one that it cannot hold."""
    text = as_toml(example) if isinstance(example, dict) else ""
    if not 0 < len(text) <= MAX_EXAMPLE or tomllib.loads(f"example = {text}")["example"] != example:
        raise ValueError("no example for a header")
    return text


def _edit(script: Script, lines: list[str]) -> Edit | None:
    """The change of the code that adds these lines to its header; None where its places are not unique."""
    code, added = script.code, "\n".join(lines)
    if code.count(_TABLE) == 1:
        return Edit(old=_TABLE, new=f"{_TABLE}\n{added}")
    header = read_header(code)
    end = f"\n{CLOSING}"
    last = f"{header.lines[-1] if header.lines else ''}{end}"
    if "codewords" in header.data.get("tool", {}) or code.count(last) != 1:
        return None
    return Edit(old=last, new=f"{last.removesuffix(end)}\n{_TABLE}\n{added}{end}")
