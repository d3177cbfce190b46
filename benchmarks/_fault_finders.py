"""Findings of linters and type checkers in wrong code that they do not have in the right one: ruff, mypy and pyright."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from _bench import clean_environment
from _function_sets import Task
from _peers import environment_of, installed

Findings = dict[str, set[str]]
"""Findings by file, without their lines."""
_PEERS = ("ruff==0.17.5", "mypy==2.4.1", "pyright[nodejs]==1.1.414")


def noticed_by_peers(tasks: Sequence[Task]) -> dict[str, set[str]]:
    """The functions whose wrong version each peer finds something new in; empty where they cannot be installed."""
    python = installed("fault-finders", "venv/bin/python", *environment_of(*_PEERS))
    if python is None:
        return {}
    found: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        names = {f"task_{number}": task for number, task in enumerate(tasks)}
        for name, task in names.items():
            Path(folder, f"{name}_right.py").write_text(task.code, encoding="utf-8")
            Path(folder, f"{name}_wrong.py").write_text(task.wrong, encoding="utf-8")
        for peer, look in _LOOKS.items():
            said = look(python.parent, Path(folder))
            found[peer] = {
                task.name
                for name, task in names.items()
                if said.get(f"{name}_wrong", set()) - said.get(f"{name}_right", set())
            }
    return found


def _ruff(programs: Path, folder: Path) -> Findings:
    done = _run([programs / "ruff", "check", "--isolated", "--output-format", "json", folder])
    found: Findings = {}
    for one in json.loads(done):
        found.setdefault(Path(one["filename"]).stem, set()).add(f"{one['code']} {one['message']}")
    return found


def _mypy(programs: Path, folder: Path) -> Findings:
    done = _run([programs / "mypy", "--check-untyped-defs", "--no-incremental", folder])
    found: Findings = {}
    for path, text in re.findall(r"^(\S+?\.py):\d+: error: (.*)$", done, re.MULTILINE):
        found.setdefault(Path(path).stem, set()).add(text)
    return found


def _pyright(programs: Path, folder: Path) -> Findings:
    done = _run([programs / "pyright", "--outputjson", "--pythonpath", sys.executable, folder])
    found: Findings = {}
    for one in json.loads(done)["generalDiagnostics"]:
        found.setdefault(Path(one["file"]).stem, set()).add(one["message"])
    return found


def _run(command: list[str | Path]) -> str:
    done = subprocess.run(
        command, encoding="utf-8", stdout=subprocess.PIPE, env=clean_environment(), check=False, timeout=900
    )
    return done.stdout


_LOOKS: dict[str, Callable[[Path, Path], Findings]] = {"ruff": _ruff, "mypy": _mypy, "pyright": _pyright}
