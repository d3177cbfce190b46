"""The hundred changes by which verdicts are measured, and the runs that they are tried on.

`changes/` has them as data: programs, scenarios, and changes with the verdict that each must get. They were written before
anything was tuned to them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from codewords_mcp.runtime.authoring.templates import templates

CHANGES = Path(__file__).parent / "changes"


@dataclass(frozen=True)
class Scenario:
    """A run that is recorded: a program, its input, and how the world answers it."""

    name: str
    base: str
    inputs: Any
    env: dict[str, str] = field(default_factory=dict[str, str])
    store: dict[str, Any] = field(default_factory=dict[str, Any])
    models: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    http: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    services: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    connections: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    truncated: str = ""

    @property
    def code(self) -> str:
        """The program before the change."""
        _, slash, template_id = self.base.partition("/")
        if slash:
            return next(one.code for one in templates() if one.id == template_id)
        return (CHANGES / "programs" / f"{self.base}.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Change:
    """A change of a scenario's program, the verdict on it, and what the result must name."""

    scenario: Scenario
    name: str
    verdict: str
    names: list[str]
    edits: list[list[str]]

    @property
    def id(self) -> str:
        """Its name with that of its scenario."""
        return f"{self.scenario.name}: {self.name}"

    @property
    def code(self) -> str:
        """The program after the change."""
        code = self.scenario.code
        for old, new in self.edits:
            assert old in code, f"{self.id}: {old!r} is not in the program"
            code = code.replace(old, new)
        return code


@cache
def scenarios() -> dict[str, Scenario]:
    """All scenarios by name."""
    return {name: Scenario(name, **fields) for name, fields in _read("scenarios.toml").items()}


@cache
def changes() -> list[Change]:
    """The hundred changes, those first that nobody can see."""
    return [*_changes("same.toml"), *_changes("different.toml")]


@cache
def held_out() -> list[Change]:
    """Further changes, written by somebody who had not seen how requests are matched."""
    return _changes("held_out.toml")


def _changes(file: str) -> list[Change]:
    return [
        Change(
            scenarios()[one["scenario"]],
            one["name"],
            one["verdict"],
            one.get("names", []),
            one.get("edits", []),
        )
        for one in _read(file)["change"]
    ]


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((CHANGES / name).read_text(encoding="utf-8"))
