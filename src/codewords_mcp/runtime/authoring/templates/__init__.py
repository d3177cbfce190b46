"""The gallery: workflows to start from, one file each under `programs/<category>/<id>.py`.

A file tells all there is to know of it: its title is the app's, its description the docstring, its example and secrets stand
in the header, and the services that it calls are read from its code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.model.authoring import Template
from codewords_mcp.runtime.model.service import ServiceInfo
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED

_PROGRAMS = Path(__file__).parent / "programs"
_FIRST = "basics"
_CALLS = re.compile(r'(?:\bservice\(\s*|\bservice_id=)"([\w-]+)"')
# the whole reading of what a script may reach takes too long for a list; a test holds the two together
# the seed's own first program, kept letter for letter
_GREETING = ("Greeting", "The smallest workflow: takes a name, answers with a greeting.", {"name": "Ada"})


def read_template(template_id: str, category: str, code: str) -> Template:
    """What a script tells of itself. `needs` are secrets that it reads itself; those of its services come on top."""
    script = parse_script(code)
    title, description = _told(ast.parse(code))
    example: Any = script.tool.get("example") or {}
    if template_id == "greeting":
        title, description, example = _GREETING
    return Template(
        id=template_id,
        title=title or template_id.replace("_", " ").capitalize(),
        description=description,
        code=code,
        category=category,
        services=sorted(set(_CALLS.findall(code))),
        needs=[one.name for one in script.env if one.required and one.name not in PROVIDED],
        example_input=cast("dict[str, Any]", example) if isinstance(example, dict) else {},
    )


def _told(tree: ast.Module) -> tuple[str, str]:
    """(the app's title, the module's docstring in one line)."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "FastAPI":
            titles = [
                one.value.value
                for one in call.keywords
                if one.arg == "title" and isinstance(one.value, ast.Constant)
            ]
            return str(titles[0]) if titles else "", " ".join((ast.get_docstring(tree) or "").split())
    return "", " ".join((ast.get_docstring(tree) or "").split())


@cache
def _read() -> tuple[Template, ...]:
    files = sorted(
        _PROGRAMS.glob("*/*.py"), key=lambda file: (file.parent.name != _FIRST, file.parent.name, file.stem)
    )
    return tuple(
        read_template(file.stem, file.parent.name, file.read_text(encoding="utf-8")) for file in files
    )


def lacking(template: Template, services: Mapping[str, ServiceInfo], present: Collection[str]) -> list[str]:
    """The secrets that it cannot do without and that are not set: its own (`present` are those that are), and its services'."""
    own = [name for name in template.needs if name not in present]
    used = [services[name] for name in template.services if name in services]
    theirs = [one.name for service in used for one in service.lacking]
    return list(dict.fromkeys([*own, *theirs]))


def templates() -> list[Template]:
    """Every template, the simplest first. Their code is a complete script."""
    return list(_read())


def template_code(template_id: str) -> str:
    """The script of a template. Raises NotFound."""
    file = next((file for file in _PROGRAMS.glob("*/*.py") if file.stem == template_id), None)
    if file is None:
        raise NotFound(
            "There is no template of that id.", hint="`codewords templates` and list_templates show them."
        )
    return file.read_text(encoding="utf-8")
