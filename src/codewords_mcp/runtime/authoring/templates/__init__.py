"""The gallery: workflows that run as they are, without any account."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.models import Template
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.variables import PROVIDED

_PROGRAMS = Path(__file__).parent / "programs"
# id (the program's file name) → category, title, description, an input that it answers
_GALLERY: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "greeting": (
        "basics",
        "Greeting",
        "The smallest workflow: takes a name, answers with a greeting.",
        {"name": "Ada"},
    ),
    "csv_statistics": (
        "data",
        "CSV statistics",
        "Describes a CSV table: its columns, what they hold, and the statistics of the numeric ones.",
        {"csv_text": "city,population\nLagos,15388000\nLima,10092000\nOslo,717710\n"},
    ),
    "parallel_steps": (
        "basics",
        "Parallel steps",
        "Counts the words of many texts at once, announces its steps and logs what happens.",
        {"texts": ["the tide goes out", "the tide comes in"], "top": 2},
    ),
    "streamed_answer": (
        "basics",
        "Streamed answer",
        "Answers bit by bit as server-sent events.",
        {"text": "one word after the other", "pause": 0.05},
    ),
    "web_page_facts": (
        "web",
        "Web page facts",
        "Fetches a web page and tells its title, its description and its links.",
        {"url": "https://example.com/"},
    ),
}


def _needs(template_id: str) -> list[str]:
    """The secrets that its header asks for."""
    code = (_PROGRAMS / f"{template_id}.py").read_text(encoding="utf-8")
    return [one.name for one in parse_script(code).env if one.required and one.name not in PROVIDED]


@cache
def _read() -> tuple[Template, ...]:
    return tuple(
        Template(
            id=one,
            title=title,
            description=description,
            code=(_PROGRAMS / f"{one}.py").read_text(encoding="utf-8"),
            example_input=example,
            category=category,
            needs=_needs(one),
        )
        for one, (category, title, description, example) in _GALLERY.items()
    )


def templates() -> list[Template]:
    """Every template, the simplest first. Their code is a complete script."""
    return list(_read())


def template_code(template_id: str) -> str:
    """The script of a template. Raises NotFound."""
    found = next((one.code for one in _read() if one.id == template_id), None)
    if found is None:
        raise NotFound("There is no template of that id.", hint="GET /templates lists them.")
    return found
