"""ruff over a script: certain crashes are errors, suspicious code is a warning."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.declarations import newest_minor
from codewords_mcp.runtime.workflows.environments.uv import run_command
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.repair import missing_imports
from codewords_mcp.runtime.workflows.validation.shared_defaults import harmless_defaults

# Undefined names, syntax errors, wrong formats, `return` outside of functions: code that raises
# whenever it is reached.
_CRASHES = "E9,F502,F503,F504,F505,F506,F507,F508,F509,F521,F524,F63,F70,F82"
_SMELLS = "F402,F501,F811,B006,B023,ASYNC210,ASYNC251,PLE"
_NEWEST_OF_RUFF = 14
"""The newest minor release of Python 3 that ruff takes as a target."""
_LIMIT = 20
_UNDEFINED = re.compile(r"Undefined name `([^`]{1,80})`")
_CRASH_CODE = re.compile(r"E9\d*|F50[2-9]|F52[14]|F63\d*|F70\d*|F82\d*|invalid-syntax")


async def lint(script: Script) -> list[Check]:
    """One check for each finding, at most 20; one passed check without findings.

    Raises EnvironmentFailed if ruff does not run.
    """
    from ruff import find_ruff_bin  # pyright: ignore[reportMissingTypeStubs]  # it ships none

    command = (
        find_ruff_bin(), "check", "--isolated", "--no-cache", "--quiet", "--exit-zero", "--output-format", "json",
        "--target-version", _target(script), "--select", f"{_CRASHES},{_SMELLS}", "--preview",
    )  # fmt: skip
    findings = await _findings((*command, "--stdin-filename", "main.py", "-"), script.code)
    if script.modules:
        with tempfile.TemporaryDirectory(prefix="codewords-lint-") as folder:
            findings += await _module_findings(command, script, Path(folder))

    harmless = harmless_defaults(script.whole_tree)
    findings = [one for one in findings if one["code"] != "B006" or one["location"]["row"] not in harmless]
    imported = missing_imports(script.tree)
    # The import is added to the program only.
    checks = [_check(one, () if script.place(one["location"]["row"]) else imported) for one in findings]
    checks.sort(key=lambda check: check.status != "failed")
    distinct = _once(checks)

    if len(distinct) > _LIMIT:
        omitted = Check(
            id="lint", status="note", message=f"{len(distinct) - _LIMIT} more findings are left out."
        )
        distinct = [*distinct[:_LIMIT], omitted]

    return distinct or [Check(id="lint", status="passed", message="No line of the code is sure to crash.")]


async def _findings(command: tuple[str, ...], stdin: str = "") -> list[dict[str, Any]]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = await run_command(
        command, env=environment, timeout_s=30, doing="looking at the code with ruff", stdin=stdin
    )
    try:
        # With --exit-zero, unreadable output is the only sign of a ruff that failed.
        findings: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        raise EnvironmentFailed(
            "ruff did not look at the code.", hint="Install codewords-mcp again."
        ) from None
    return findings


async def _module_findings(command: tuple[str, ...], script: Script, folder: Path) -> list[dict[str, Any]]:
    """The findings in shared modules, with lines of the whole code. They are files in `folder` meanwhile."""
    # Numbers for names: a path of the code is never one on this machine.
    for number, module in enumerate(script.modules):
        (folder / f"{number}.py").write_text(module.text, encoding="utf-8")
    findings = await _findings((*command, str(folder)))
    for finding in findings:
        finding["location"]["row"] += script.modules[int(Path(finding["filename"]).stem)].line
    return findings


def _target(script: Script) -> str:
    """The newest Python that the script accepts, so that new syntax is not reported as wrong."""
    from packaging.specifiers import SpecifierSet

    newest = newest_minor(SpecifierSet(script.requires_python))
    return f"py3{min(newest or 11, _NEWEST_OF_RUFF)}"


def _check(finding: dict[str, Any], imported: tuple[str, ...]) -> Check:
    code = str(finding.get("code") or "invalid-syntax")
    message, location = str(finding["message"])[:200], finding["location"]
    position: dict[str, Any] = {"id": "lint", "line": location["row"], "column": location["column"]}
    name = _UNDEFINED.search(message)
    # The sandbox runs the code with this import added (see `repair`), so it doesn't crash here.
    if name and name[1] in imported:
        text = f"`{name[1]}` is never imported (F821); the runtime imports it for you, other places will not."
        return Check(**position, status="warning", message=text, fix=f"import {name[1]}")
    fix = _define(name[1]) if name else None
    crashes = _CRASH_CODE.fullmatch(code) is not None
    return Check(
        **position, status="failed" if crashes else "warning", message=f"{message} ({code}).", fix=fix
    )


def _define(name: str) -> str:
    if name in sys.stdlib_module_names:
        return f"import {name}"
    return f"Define `{name}` before this line, or import it."


def _once(checks: list[Check]) -> list[Check]:
    """The first of several equal findings."""
    return list({(check.status, check.message): check for check in reversed(checks)}.values())[::-1]
