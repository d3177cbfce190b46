"""Prompts for the model that writes a workflow, and parsing of its responses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.authoring.edits import apply_patch
from codewords_mcp.runtime.model.validation import Check

MAX_DESCRIPTION = 8_000
"""Maximum characters of a description, and of its constraints."""
_FENCE = re.compile(r"^(`{3,})[ \t]*(\w*)[^\n]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_OPENING = "# /// script"
_MAX_PLAN = 1_500
_MAX_FAULTS = 12


class ParsedProgram(NamedTuple):
    """The program in a response, or the reason why there is none, and the plan before it."""

    code: str
    problem: str
    plan: str


@cache
def rules() -> str:
    """The rules for writing a workflow, about 600 tokens without its example."""
    return (Path(__file__).parent / "rules.md").read_text(encoding="utf-8")


def check_description(description: str, constraints: str) -> tuple[str, str]:
    """Both texts, trimmed. Raises InvalidInput if the description is empty or a text is too long."""
    description, constraints = description.strip(), constraints.strip()
    if not any(character.isalnum() for character in description):
        raise InvalidInput(
            "The description is empty.",
            hint='Say what the workflow takes, does and answers: "Takes a URL, …".',
        )

    for name, text in (("description", description), ("constraints", constraints)):
        if len(text) > MAX_DESCRIPTION:
            raise InvalidInput(
                f"The {name} has {len(text):,} characters; the limit is {MAX_DESCRIPTION:,}.",
                hint="Describe what it does in a page; data belongs into its input or a file.",
            )

    return description, constraints


def system_prompt(services: Iterable[str]) -> str:
    """The rules and the suitable library services."""
    known = "\n".join(services)
    return (
        "You write workflows for CodeWords and nothing else. Your code is checked and run in a sandbox.\n\n"
        f"{rules()}\nServices that may help:\n{known or '(none needed)'}"
    )


def first_prompt(description: str, constraints: str, template: str) -> str:
    """The prompt of the first attempt."""
    if constraints:
        bounds = f"\nConstraints:\n{constraints}\n"
    else:
        bounds = ""
    return (
        f"Write a workflow that does this:\n\n{description}\n{bounds}\n"
        f"A workflow that works, for its style:\n\n```python\n{template}```\n\n"
        "Answer with a plan of at most six short lines, then the whole file in one ```python block."
    )


def repair_prompt(description: str, constraints: str, code: str, faults: list[str]) -> str:
    """The prompt after an attempt that failed its checks."""
    if constraints:
        bounds = f"\nConstraints: {constraints}"
    else:
        bounds = ""

    fault_list = "\n".join(f"- {fault}" for fault in faults[:_MAX_FAULTS])
    if not code:
        return (
            f"Write a workflow that does this:\n\n{description}{bounds}\n\nYour last answer could not be used:\n{fault_list}\n\n"
            "Answer with the whole file in one ```python block and nothing after it."
        )

    return (
        f"This workflow should do the following, and does not pass its checks:\n\n{description}{bounds}\n\n"
        f"```python\n{code}\n```\n\nWhat is wrong:\n{fault_list}\n\n"
        "Answer with a unified diff of what to change in one ```diff block, or with the whole file in one ```python block."
    )


def parse_program(text: str, before: str, *, cut: bool) -> ParsedProgram:
    """The code in a response: a whole file, or a patch applied to `before`."""
    blocks = [(faults[2].lower(), faults[3], faults.start()) for faults in _FENCE.finditer(text)]
    if blocks:
        plan = text[: blocks[0][2]].strip()[:_MAX_PLAN]
    else:
        plan = ""

    # A diff may hold the first line of the header, too.
    files = [body for kind, body, _ in blocks if _OPENING in body and kind not in {"diff", "patch"}]
    if not files and text.lstrip().startswith(_OPENING):
        files = [text.lstrip()]
    # A cut file may parse, and would then run as half a program.
    if cut:
        return ParsedProgram("", "The answer was cut off before its end: write a shorter program.", plan)
    if files:
        # A model may quote parts of the file before the whole one.
        return ParsedProgram(max(files, key=len), "", plan)

    patches = [
        body for kind, body, _ in blocks if kind in {"diff", "patch"} or body.startswith(("@@", "--- "))
    ]
    if patches and before:
        try:
            return ParsedProgram(apply_patch(before, "\n".join(patches)), "", plan)
        except InvalidInput as error:
            return ParsedProgram("", f"The diff does not fit: {error.message}", plan)

    if any(body.strip() for _, body, _ in blocks):
        return ParsedProgram("", f"The code has no header: it must begin with `{_OPENING}`.", plan)

    return ParsedProgram("", "The answer holds no code block with the whole file.", plan)


def faults_to_repair(checks: Iterable[Check]) -> list[str]:
    """Failed checks, and warnings that a person would have to justify."""
    faults: list[str] = []
    for check in checks:
        blocking = check.status == "warning" and (
            # These warnings are nearly always real faults in code that a model wrote.
            check.id in {"packages", "smoke"} or "ASYNC" in check.message
        )
        if check.status == "failed" or blocking:
            position = f" (line {check.line})" if check.line else ""
            fix = f" Fix: {check.fix}" if check.fix else ""
            faults.append(f"{check.id}{position}: {check.message}{fix}")

    return faults
