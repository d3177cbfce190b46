"""What a model is asked when it writes a workflow, and what is read from its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.authoring.edits import apply_patch
from codewords_mcp.runtime.model.validation import Check

LONGEST = 8_000
"""Characters of a description, and of its constraints."""
_FENCE = re.compile(r"^(`{3,})[ \t]*(\w*)[^\n]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_OPENING = "# /// script"
_PLAN_KEPT = 1_500
_FAULTS = 12


class ModelAnswer(NamedTuple):
    """What an answer holds: code, or why it holds none that can be used; and the plan before it."""

    code: str
    problem: str
    plan: str


@cache
def rules() -> str:
    """How a workflow is written, in about 600 tokens besides its example."""
    return (Path(__file__).parent / "rules.md").read_text(encoding="utf-8")


def check_wish(description: str, constraints: str) -> tuple[str, str]:
    """Both, trimmed. Raises InvalidInput for nothing, or for more than a person reads."""
    description, constraints = description.strip(), constraints.strip()
    if not any(character.isalnum() for character in description):
        raise InvalidInput(
            "The description is empty.",
            hint='Say what the workflow takes, does and answers: "Takes a URL, …".',
        )

    for name, text in (("description", description), ("constraints", constraints)):
        if len(text) > LONGEST:
            raise InvalidInput(
                f"The {name} has {len(text):,} characters; the limit is {LONGEST:,}.",
                hint="Describe what it does in a page; data belongs into its input or a file.",
            )

    return description, constraints


def system_prompt(services: Iterable[str]) -> str:
    """The rules, and the library services that fit."""
    known = "\n".join(services)
    return (
        "You write workflows for CodeWords and nothing else. Your code is checked and run in a sandbox.\n\n"
        f"{rules()}\nServices that may help:\n{known or '(none needed)'}"
    )


def first_prompt(description: str, constraints: str, template: str) -> str:
    """The first question."""
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
    """What is asked after an answer that does not pass."""
    if constraints:
        bounds = f"\nConstraints: {constraints}"
    else:
        bounds = ""

    told = "\n".join(f"- {fault}" for fault in faults[:_FAULTS])
    if not code:
        return (
            f"Write a workflow that does this:\n\n{description}{bounds}\n\nYour last answer could not be used:\n{told}\n\n"
            "Answer with the whole file in one ```python block and nothing after it."
        )

    return (
        f"This workflow should do the following, and does not pass its checks:\n\n{description}{bounds}\n\n"
        f"```python\n{code}\n```\n\nWhat is wrong:\n{told}\n\n"
        "Answer with a unified diff of what to change in one ```diff block, or with the whole file in one ```python block."
    )


def read_answer(text: str, before: str, *, cut: bool) -> ModelAnswer:
    """The code that an answer gives: a whole file, or a patch of the code before."""
    blocks = [(found[2].lower(), found[3], found.start()) for found in _FENCE.finditer(text)]
    if blocks:
        plan = text[: blocks[0][2]].strip()[:_PLAN_KEPT]
    else:
        plan = ""

    files = [body for kind, body, _ in blocks if _OPENING in body and kind not in {"diff", "patch"}]
    if not files and text.lstrip().startswith(_OPENING):
        files = [text.lstrip()]
    if cut:
        return ModelAnswer("", "The answer was cut off before its end: write a shorter program.", plan)
    if files:
        return ModelAnswer(max(files, key=len), "", plan)

    patches = [
        body for kind, body, _ in blocks if kind in {"diff", "patch"} or body.startswith(("@@", "--- "))
    ]
    if patches and before:
        try:
            return ModelAnswer(apply_patch(before, "\n".join(patches)), "", plan)
        except InvalidInput as error:
            return ModelAnswer("", f"The diff does not fit: {error.message}", plan)

    if any(body.strip() for _, body, _ in blocks):
        return ModelAnswer("", f"The code has no header: it must begin with `{_OPENING}`.", plan)

    return ModelAnswer("", "The answer holds no code block with the whole file.", plan)


def faults_of(checks: Iterable[Check]) -> list[str]:
    """What has to be repaired: failures, and those warnings that a person would have to answer for."""
    found: list[str] = []
    for check in checks:
        blocking = check.status == "warning" and (
            check.id in {"packages", "smoke"} or "ASYNC" in check.message
        )
        if check.status == "failed" or blocking:
            place = f" (line {check.line})" if check.line else ""
            fix = f" Fix: {check.fix}" if check.fix else ""
            found.append(f"{check.id}{place}: {check.message}{fix}")

    return found
