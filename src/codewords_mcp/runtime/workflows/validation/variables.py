"""Checks that the variables and connections used by a script will have a value."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass

from codewords_mcp.errors.remedies import Remedy, set_secret
from codewords_mcp.runtime.model.code_difference import program_lines
from codewords_mcp.runtime.model.integration import variable_of
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import Script

PROVIDED = frozenset(
    {
        "PORT",
        "LOGLEVEL",
        "CODEWORDS_API_KEY",
        "CODEWORDS_RUNTIME_URI",
        "RUNTIME_URI",
        "SERVICE_ID",
        "CODEWORDS_SERVICE_ROOT",
        "PYTHONHASHSEED",
    }
)
"""Variables that the runtime sets in every sandbox (wire contract, "Keys and environment")."""
_LIMIT = 50
_SYSTEM = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "USER", "PWD"})


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """The state of a declared app's connection. `connected` is None if it could not be determined.
    `how` says what to do.
    """

    connected: bool | None
    message: str
    how: str = ""
    remedy: Remedy | None = None


def check_variables(script: Script, known_secrets: Collection[str]) -> list[Check]:
    """A warning for each missing variable, or one passed check.

    Missing ones never fail: a program may need a declared variable only sometimes, and a secret may
    be set after the deploy.
    """
    checks = [*_missing(script, known_secrets), *_undeclared(script)]
    return checks or [
        Check(id="variables", status="passed", message="Every variable that the script declares has a value.")
    ]


def _missing(script: Script, known: Collection[str]) -> Iterator[Check]:
    for variable in script.env:
        if variable.required and variable.name not in PROVIDED and variable.name not in known:
            yield Check(
                id="variables",
                status="warning",
                message=f"{variable.name} is required and has no value yet.",
                line=_line(script, variable.name),
                fix=set_secret(variable.name).words,
                remedy=set_secret(variable.name),
            )


async def check_connections(
    script: Script, connection_of: Callable[[str], Awaitable[ConnectionFacts]]
) -> list[Check]:
    """One check for each declared app. It passes only if an account is connected."""
    checks: list[Check] = []
    for app in script.connections:
        name = variable_of(app)
        facts = await connection_of(app)
        if facts.connected is None:
            status = "warning"
        elif facts.connected:
            status = "passed"
        else:
            status = "failed"

        checks.append(
            Check(
                id="connections",
                status=status,
                message=f"{name}: {facts.message}",
                line=None if facts.connected else _line(script, name),
                fix=None if facts.connected else facts.how or None,
                remedy=None if facts.connected else facts.remedy,
            )
        )

    return checks


def _undeclared(script: Script) -> Iterator[Check]:
    declared = {variable.name for variable in script.env} | PROVIDED | _SYSTEM
    declared |= {variable_of(app) for app in script.connections}
    reported: set[str] = set()
    tree = script.whole_tree

    for node in ast.walk(tree) if tree else ():
        match node:
            case ast.Subscript(
                # `os.environ["X"]` raises without X. `os.environ.get` has a default, so it
                # isn't checked.
                value=ast.Attribute(attr="environ"),
                slice=ast.Constant(value=str(name)),
                ctx=ast.Load(),
            ) if name.isidentifier() and name not in declared | reported:
                reported.add(name)
                yield Check(
                    id="variables",
                    status="warning",
                    message=f"{name} is read but not declared, so a workflow does not get it.",
                    line=node.lineno,
                    column=node.col_offset + 1,
                    fix=f'Add "{name}" to env_vars under [tool.env-checker].',
                )
            case ast.ClassDef(bases=bases) if any(map(_is_settings, bases)):
                yield from _settings(node, declared | reported)
            case _:
                pass


def _is_settings(base: ast.expr) -> bool:
    """Whether a class's base is that of pydantic-settings, which reads its fields in the environment."""
    match base:
        case ast.Name(id="BaseSettings") | ast.Attribute(attr="BaseSettings"):
            return True
        case _:
            return False


def _settings(model: ast.ClassDef, known: Collection[str]) -> Iterator[Check]:
    """A warning for each field without a default whose variable is not declared."""
    prefix = ""
    for node in ast.walk(model):
        match node:
            case ast.keyword(arg="env_prefix", value=ast.Constant(value=str(text))):
                prefix = text
            case _:
                pass
    for field in model.body:
        match field:
            case ast.AnnAssign(target=ast.Name(id=name), value=None) if (
                variable := f"{prefix}{name}".upper()
            ) not in {one.upper() for one in known}:
                yield Check(
                    id="variables",
                    status="warning",
                    message=f"The setting `{name}` has no default and no variable, so the program does not start.",
                    line=field.lineno,
                    column=field.col_offset + 1,
                    fix=f'Add "{variable}" to env_vars under [tool.env-checker], or give it a default.',
                )
            case _:
                pass


def _line(script: Script, name: str) -> int | None:
    lines = program_lines(script.code)
    return next(
        (number for number, line in enumerate(lines, start=1) if line.startswith("#") and name in line), None
    )
