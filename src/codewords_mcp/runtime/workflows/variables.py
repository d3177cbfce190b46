"""Whether the variables that a script declares and reads will be there when it runs."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from codewords_mcp.runtime.models import Check
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
"""What the runtime sets in every sandbox (wire contract, "Keys and environment")."""
_LIMIT = 50
_SYSTEM = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "USER", "PWD"})


def check_variables(script: Script, known_secrets: Collection[str]) -> list[Check]:
    """A warning for each variable that will be missing, or one check that passed. Missing ones never fail: a program
    may declare what it only sometimes needs, and a secret may be set after the deploy.
    """
    checks = [*_missing(script, known_secrets), *_connections(script), *_undeclared(script)]
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
                fix=f"codewords secrets set {variable.name}",
            )


def _connections(script: Script) -> Iterator[Check]:
    for app in script.connections:
        name = f"PIPEDREAM_{app.upper()}_ACCESS"
        message = f"{name} declares a connection to {app}; calls that use it fail until one is made."
        yield Check(id="variables", status="warning", message=message, line=_line(script, name))


def _undeclared(script: Script) -> Iterator[Check]:
    declared = {variable.name for variable in script.env} | PROVIDED | _SYSTEM
    declared |= {f"PIPEDREAM_{app.upper()}_ACCESS" for app in script.connections}
    seen: set[str] = set()
    for node in ast.walk(script.tree) if script.tree else ():
        match node:
            case ast.Subscript(
                value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name)), ctx=ast.Load()
            ) if name.isidentifier() and name not in declared | seen:
                seen.add(name)
                yield Check(
                    id="variables",
                    status="warning",
                    message=f"{name} is read but not declared, so a workflow does not get it.",
                    line=node.lineno,
                    column=node.col_offset + 1,
                    fix=f'Add "{name}" to env_vars under [tool.env-checker].',
                )
            case _:
                pass


def _line(script: Script, name: str) -> int | None:
    lines = script.code.splitlines()
    return next(
        (number for number, line in enumerate(lines, start=1) if line.startswith("#") and name in line), None
    )
