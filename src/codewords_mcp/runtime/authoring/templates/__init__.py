"""The gallery of workflows to start from, one file each under `programs/<category>/<id>.py`.

A file contains all facts about the template. The title is the app's, the description its docstring,
example and secrets are in the header, and the called services are parsed from its code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.authoring import Template
from codewords_mcp.runtime.model.modules import normalise
from codewords_mcp.runtime.workflows.declarations import environment_variables, tool
from codewords_mcp.runtime.workflows.header import read_header
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED

_PROGRAMS = Path(__file__).parent / "programs"
_FIRST = "basics"
_CALLS = re.compile(r'(?:\bservice\(\s*|\bservice_id=)"([\w-]+)"')
# static analysis of each script takes too long for a list; a test compares this regex with it
# the seed's own first program is served unchanged, so its facts can't stand in its header
_GREETING = ("Greeting", "The smallest workflow: takes a name, answers with a greeting.", {"name": "Ada"})


def read_template(template_id: str, category: str, code: str) -> Template:
    """Parse the template's facts from its code. `needs` are its own secrets; those of its services
    are added elsewhere.
    """
    # The header alone: facts of the whole program take ten times as long, and a list reads 60 programs.
    header = read_header(normalise(code))
    options, _ = tool(header)
    variables, _, _ = environment_variables(header)
    title, description = _title_and_docstring(ast.parse(code))
    example: Any = options.get("example") or {}
    if template_id == "greeting":
        title, description, example = _GREETING
    return Template(
        id=template_id,
        title=title or template_id.replace("_", " ").capitalize(),
        description=description,
        code=code,
        category=category,
        services=sorted(set(_CALLS.findall(code))),
        needs=[
            variable.name for variable in variables if variable.required and variable.name not in PROVIDED
        ],
        example_input=object_of(example),
    )


def _title_and_docstring(tree: ast.Module) -> tuple[str, str]:
    """The app's title, and the module's docstring on one line."""
    docstring = " ".join((ast.get_docstring(tree) or "").split())
    for statement in tree.body:
        # Only the module level: uvicorn takes the app by a module's attribute.
        match statement:
            case (
                ast.Assign(value=ast.Call(func=ast.Name(id="FastAPI")) as call)
                | ast.AnnAssign(value=ast.Call(func=ast.Name(id="FastAPI")) as call)
            ):
                return _title(call), docstring
            case _:
                pass
    return "", docstring


def _title(call: ast.Call) -> str:
    for keyword in call.keywords:
        if keyword.arg == "title" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return ""


def _rank(file: Path) -> tuple[bool, str, str]:
    return file.parent.name != _FIRST, file.parent.name, file.stem


@cache
def _read() -> tuple[Template, ...]:
    files = sorted(_PROGRAMS.glob("*/*.py"), key=_rank)
    return tuple(
        read_template(file.stem, file.parent.name, file.read_text(encoding="utf-8")) for file in files
    )


def missing_secrets(
    template: Template, of_services: Mapping[str, Collection[str]], present: Collection[str]
) -> list[str]:
    """Required secrets without a value, its own and its services'. `of_services` has those by service, `present`
    are names of stored secrets.
    """
    own = [name for name in template.needs if name not in present]
    theirs = [name for service in template.services for name in of_services.get(service, ())]
    return list(dict.fromkeys([*own, *theirs]))


def templates() -> list[Template]:
    """All templates, the simplest first. Their code is a complete script."""
    return list(_read())


def template_code(template_id: str) -> str:
    """The script of a template. Raises NotFound."""
    file = next((file for file in _PROGRAMS.glob("*/*.py") if file.stem == template_id), None)
    if file is None:
        raise NotFound("There is no template of that id.", remedy=Remedy(RemedyAction.LIST_TEMPLATES))
    return file.read_text(encoding="utf-8")
